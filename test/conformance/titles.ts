import { readFileSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import ts from 'typescript';

/** The titles of a file's tests, as they are written; `describe` is no test, and one that is skipped is none either. */
export function titlesOf(source: string): string[] {
  const titles: string[] = [];
  const visit = (node: ts.Node): void => {
    if (ts.isCallExpression(node)) {
      const [title] = node.arguments;
      if (isTest(node.expression) && title && ts.isStringLiteralLike(title)) titles.push(title.text);
    }
    ts.forEachChild(node, visit);
  };
  visit(ts.createSourceFile('spec.ts', source, ts.ScriptTarget.Latest));
  return titles;
}

/** What the titles of a table's rows look like. */
export function patternOf(title: string): RegExp {
  const parts = title.split(/%[sdij]/).map((part) => part.replaceAll(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`));
  return new RegExp(`^${parts.join('.+')}$`);
}

/** `test`, or `test.each(rows)`. */
function isTest(called: ts.Expression): boolean {
  if (ts.isIdentifier(called)) return called.text === 'test' || called.text === 'it';
  if (!ts.isCallExpression(called) && !ts.isTaggedTemplateExpression(called)) return false;
  const each = ts.isCallExpression(called) ? called.expression : called.tag;
  return ts.isPropertyAccessExpression(each) && each.name.text === 'each' && isTest(each.expression);
}

/** Every file that jest runs, and every file of ours that one of those imports, from `test/`. */
export function filesThatRun(): Set<string> {
  const run = readdirSync('test', { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.test.ts'));
  const reached = new Set(run.map((file) => join('test', file)));
  for (const file of reached)
    for (const [, path = ''] of readFileSync(file, 'utf8').matchAll(/from '(\.[^']+\.ts)'/g)) {
      const target = join(dirname(file), path);
      if (target.startsWith('test/')) reached.add(target);
    }
  return reached;
}
