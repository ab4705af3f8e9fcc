/**
 * What principals may, as the local authorizer of Mesos reads `--acls`: the first rule that matches who asks and what for
 * decides. A devcluster asks about four actions; where no rule matches, all is allowed unless `permissive` is false.
 */
interface Entity {
  type?: 'SOME' | 'ANY' | 'NONE';
  values?: readonly string[];
}

/** Who, and what for. */
type Rule = readonly [Entity, Entity];

/** The member of a rule that says what for. */
const objects = {
  register_frameworks: 'roles',
  run_tasks: 'users',
  teardown_frameworks: 'framework_principals',
  view_executors: 'users',
} as const;
type Action = keyof typeof objects;

export class Authorization {
  readonly #rules = new Map<Action, readonly Rule[]>();
  readonly #permissive: boolean;

  /** Throws an Error that says what would be right. */
  constructor(acls: string) {
    const { permissive = true, ...actions } = acls === '' ? {} : membersOf(parse(acls));
    this.#permissive = permissive !== false;
    for (const [name, rules] of Object.entries(actions)) {
      if (!isAction(name)) throw new Error(`acls: expected rules of ${Object.keys(objects).join(', ')}, got '${name}'`);
      if (!Array.isArray(rules)) throw new Error(`acls: expected a list of rules as ${name}`);
      this.#rules.set(
        name,
        rules.map((rule: unknown) => [entityIn(rule, 'principals'), entityIn(rule, objects[name])]),
      );
    }
  }

  mayRegister(principal: string | undefined, roles: readonly string[]): boolean {
    return roles.every((role) => this.#allows('register_frameworks', principal, role));
  }

  mayRun(principal: string | undefined, user: string): boolean {
    return this.#allows('run_tasks', principal, user);
  }

  mayTearDown(principal: string | undefined, owner: string | undefined): boolean {
    return this.#allows('teardown_frameworks', principal, owner);
  }

  /** Others are told as if the executor were not there. */
  mayViewExecutor(principal: string | undefined, user: string): boolean {
    return this.#allows('view_executors', principal, user);
  }

  #allows(action: Action, subject: string | undefined, object: string | undefined): boolean {
    const rules = this.#rules.get(action) ?? [];
    const found = rules.find(([who, what]) => matches(who, subject) && matches(what, object));
    return found ? found.every(({ type }) => type !== 'NONE') : this.#permissive;
  }
}

const isAction = (name: string): name is Action => name in objects;

/** NONE matches everything, to forbid it. Who or what is not named can only be meant by ANY and NONE. */
const matches = ({ type = 'SOME', values = [] }: Entity, value: string | undefined): boolean =>
  type === 'SOME' ? value !== undefined && values.includes(value) : true;

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new Error(`acls: expected JSON as Mesos' --acls: ${(error as Error).message}`, { cause: error });
  }
}

const membersOf = (value: unknown): Record<string, unknown> =>
  typeof value === 'object' && value !== null ? Object.fromEntries(Object.entries(value)) : {};

function entityIn(rule: unknown, name: string): Entity {
  const { type, values } = membersOf(membersOf(rule)[name]);
  if (type === 'ANY' || type === 'NONE') return { type };
  const isList = Array.isArray(values) && values.every((value) => typeof value === 'string');
  if (!isList) throw new Error(`acls: expected ${name} as {"values":["…"]} or {"type":"ANY"} or {"type":"NONE"}`);
  return { values };
}
