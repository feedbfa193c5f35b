/** Says of a changed file whether it compiles, and compiles it. Holds the provider's program in memory, so that each asks for one file's work. */

import { readFileSync } from "node:fs";
import path from "node:path";
import ts from "typescript";
import { importsOf, type Sources } from "../architecture/imports.js";
import { applied, type Mutant } from "./edit.js";

export const root = path.resolve(__dirname, "../../..");

export class Compiler {
  readonly #service: ts.LanguageService;
  readonly #options: ts.CompilerOptions;
  /** Files with another text than on disk. */
  readonly #changed = new Map<string, { text: string; version: number }>();
  #versions = 0;

  /** @param sources as `provider/core/errors.ts` → its text */
  constructor(private readonly sources: Sources) {
    const { config } = ts.readConfigFile(path.join(root, "tsconfig.json"), ts.sys.readFile);
    const { options } = ts.parseJsonConfigFileContent({ ...config, include: [] }, ts.sys, root);
    // what a dropped line leaves unused would be dropped with it
    this.#options = { ...options, noUnusedLocals: false, noUnusedParameters: false, noEmit: true, incremental: false, declaration: false };
    delete this.#options.tsBuildInfoFile;
    this.#service = ts.createLanguageService(this.#host(), ts.createDocumentRegistry());
  }

  #host(): ts.LanguageServiceHost {
    const names = [...this.sources.keys()].map((file) => path.join(root, file));
    const text = (file: string) => this.#changed.get(file)?.text ?? this.sources.get(path.relative(root, file)) ?? ts.sys.readFile(file);
    return {
      getCompilationSettings: () => this.#options,
      getScriptFileNames: () => names,
      getScriptVersion: (file) => String(this.#changed.get(file)?.version ?? 0),
      getScriptSnapshot: (file) => {
        const found = text(file);
        return found === undefined ? undefined : ts.ScriptSnapshot.fromString(found);
      },
      getCurrentDirectory: () => root,
      getDefaultLibFileName: ts.getDefaultLibFilePath,
      fileExists: (file) => this.sources.has(path.relative(root, file)) || ts.sys.fileExists(file),
      readFile: ts.sys.readFile,
      readDirectory: ts.sys.readDirectory,
      directoryExists: ts.sys.directoryExists,
      getDirectories: ts.sys.getDirectories,
      ...(ts.sys.realpath && { realpath: ts.sys.realpath }),
    };
  }

  /** Whether it compiles, and with it what imports it. */
  accepts(mutant: Mutant): boolean {
    const file = path.join(root, mutant.file);
    this.#versions++;
    this.#changed.set(file, { text: applied(this.sources.get(mutant.file) ?? "", mutant), version: this.#versions });
    const asked = [mutant.file, ...this.#importersOf(mutant.file)].map((name) => path.join(root, name));
    const isFine = asked.every(
      (name) => this.#service.getSyntacticDiagnostics(name).length === 0 && this.#service.getSemanticDiagnostics(name).length === 0,
    );
    this.#changed.delete(file);
    return isFine;
  }

  #importersOf(file: string): string[] {
    return [...this.sources.keys()].filter((from) => importsOf(from, this.sources.get(from) ?? "").some((found) => found.file === file));
  }
}

/** As `npm run build` compiles it. */
export function compiled(mutant: Mutant): string {
  const { config } = ts.readConfigFile(path.join(root, "tsconfig.json"), ts.sys.readFile);
  const { options } = ts.parseJsonConfigFileContent({ ...config, include: [] }, ts.sys, root);
  const text = applied(readFileSync(path.join(root, mutant.file), "utf8"), mutant);
  return ts.transpileModule(text, { compilerOptions: { ...options, sourceMap: false }, fileName: path.join(root, mutant.file) }).outputText;
}
