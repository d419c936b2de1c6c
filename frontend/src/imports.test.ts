import { readdirSync, readFileSync } from 'fs';
import { dirname, join, relative, resolve } from 'path';
import ts from 'typescript';

type Graph = Map<string, string[]>;

const ROOT = resolve(__dirname, '..');
const FOLDERS = ['src', 'browser'];
const ENDINGS = ['', '.ts', '.tsx', '.json', '.js'];

/** The TypeScript files of the frontend and, for each, the files of the frontend that it imports. Type imports count. */
function readGraph(): Graph {
  const files = FOLDERS.flatMap((folder) =>
    readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' }).map((name) => join(ROOT, folder, name))
  ).filter((path) => /\.tsx?$/.test(path));
  return new Map(files.map((path) => [path, importsOf(path, new Set(files))]));
}

function importsOf(path: string, files: Set<string>): string[] {
  return ts
    .preProcessFile(readFileSync(path, 'utf8'))
    .importedFiles.map(({ fileName }) => fileName)
    .filter((name) => name.startsWith('.'))
    .flatMap((name) => {
      const target = resolve(dirname(path), name);
      return ENDINGS.map((ending) => target + ending).filter((candidate) => files.has(candidate));
    });
}

/** The first import cycle that a depth-first search finds, as the files along it; undefined if there is none. */
function findCycle(graph: Graph): string[] | undefined {
  const finished = new Set<string>();
  const visit = (file: string, path: string[]): string[] | undefined => {
    if (path.includes(file)) {
      return [...path.slice(path.indexOf(file)), file];
    }
    if (finished.has(file)) {
      return undefined;
    }
    for (const next of graph.get(file) ?? []) {
      const cycle = visit(next, [...path, file]);
      if (cycle) {
        return cycle;
      }
    }
    finished.add(file);
    return undefined;
  };
  for (const file of graph.keys()) {
    const cycle = visit(file, []);
    if (cycle) {
      return cycle;
    }
  }
  return undefined;
}

describe('imports', () => {
  const graph = readGraph();

  it('reads the imports of every file', () => {
    const module = join(ROOT, 'src', 'module.ts');
    expect(graph.get(module)?.map((path) => relative(ROOT, path))).toContain('src/datasource.ts');
    expect(graph.get(join(ROOT, 'browser', 'page.tsx'))).not.toEqual([]);
  });

  it('have no cycle', () => {
    expect(findCycle(graph)?.map((path) => relative(ROOT, path))).toBeUndefined();
  });

  it.each<[string, Record<string, string[]>, string[] | undefined]>([
    ['a tree', { a: ['b', 'c'], b: ['d'], c: ['d'], d: [] }, undefined],
    ['a file that imports itself', { a: ['a'] }, ['a', 'a']],
    ['two files that import each other', { a: ['b'], b: ['c'], c: ['b'] }, ['b', 'c', 'b']],
    ['a cycle behind a finished file', { a: [], b: ['a', 'c'], c: ['d'], d: ['b'] }, ['b', 'c', 'd', 'b']],
  ])('are searched correctly in %s', (_, imports, cycle) => {
    expect(findCycle(new Map(Object.entries(imports)))).toEqual(cycle);
  });
});

describe('folders', () => {
  it('have at most 15 files', () => {
    const counts = new Map<string, number>();
    for (const file of readGraph().keys()) {
      const folder = relative(ROOT, dirname(file));
      counts.set(folder, (counts.get(folder) ?? 0) + 1);
    }
    expect([...counts].filter(([, count]) => count > 15)).toEqual([]);
  });
});
