import { Script, createContext } from 'node:vm';
import { Environment } from '@marcbachmann/cel-js';
import { addLibraries } from './cel/libraries.ts';

/** A compiled expression; throws what evaluation throws. */
export type CelProgram = (variables: Readonly<Record<string, unknown>>) => unknown;

const environment = addLibraries(
  new Environment({
    unlistedVariablesAreDyn: true,
    homogeneousAggregateLiterals: false,
    enableOptionalTypes: true,
    limits: {
      maxAstNodes: 20_000,
      maxDepth: 250,
      maxListElements: 10_000,
      maxMapEntries: 10_000,
      maxCallArguments: 32,
    },
  }),
);

/** What may be named where expressions are checked: those that are evaluated have been, and name what they like. */
export function declaring(declare: (environment: Environment) => unknown): Environment {
  const declared = environment.clone({ unlistedVariablesAreDyn: false });
  declare(declared);
  return declared;
}

/** Of rules with `optionalOldSelf`: a value whose type is not told beforehand is no optional to the library. */
export const withOptionalOldSelf = environment.clone().registerVariable('oldSelf', 'optional<dyn>');

/**
 * Compiles a CEL expression; variables are dynamic. Throws with CEL's own words when it cannot be read.
 * https://kubernetes.io/docs/reference/using-api/cel/
 */
export function compileCel(expression: string, within = environment): CelProgram {
  const parsed = within.parse(expression);
  const program: CelProgram = (variables) => parsed(variables as Record<string, unknown>);
  const loops = expression.match(/\.(all|exists|exists_one|existsOne|map|filter|transform\w+)\s*\(/g) ?? [];
  return loops.length < 2 ? program : (variables) => withinBudget(() => program(variables));
}

/** Milliseconds of one evaluation: nothing else is served meanwhile, and a loop within a loop may take for ever. */
const budget = 500;
const over = 'operation cancelled: actual cost limit exceeded';

/** Watched by another thread, which costs some hundred microseconds. */
const watched: { run: () => unknown } = createContext({ run: () => undefined }) as { run: () => unknown };
const script = new Script('run()');

function withinBudget<T>(run: () => T): T {
  watched.run = run;
  try {
    return script.runInContext(watched, { timeout: budget }) as T;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ERR_SCRIPT_EXECUTION_TIMEOUT')
      throw new Error(over, { cause: error });
    throw error;
  } finally {
    watched.run = () => undefined;
  }
}

/** The first line of what went wrong, as CEL has it: `no such key: x`; what follows is a drawing for terminals. */
export const celError = (error: unknown): string =>
  (error instanceof Error ? error.message : String(error)).split('\n')[0]!.replace(/^No such/, 'no such');

/** What a message expression made; undefined when that is no message. */
export const textIn = (made: unknown): string | undefined =>
  typeof made === 'string' && made.trim() !== '' ? made : undefined;
