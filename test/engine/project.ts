/** What Pulumi.yaml says of a project. */

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join, resolve } from "node:path";

export interface Project {
  name: string;
  /** Where Pulumi.yaml lies. */
  folder: string;
  /** The program's folder: the working directory of the program and of the provider process. */
  programFolder: string;
  /** What the runner is told to run: `.` or a file. */
  entry: string;
  typescript: boolean;
  refresh: "always" | "when-asked";
}

interface ProjectFile {
  name: string;
  runtime: string | { name: string; options?: { typescript?: boolean } };
  main?: string;
  options?: { refresh?: string };
}

export function readProject(folder: string): Project {
  const file = parseYaml(readFileSync(join(folder, "Pulumi.yaml"), "utf8"));
  const main = file.main ?? "";
  const isFile = /\.[cm]?[jt]s$/.test(main);
  return {
    name: file.name,
    folder: resolve(folder),
    programFolder: resolve(folder, isFile ? join(main, "..") : main),
    entry: isFile ? resolve(folder, main) : ".",
    typescript: typeof file.runtime === "string" || file.runtime.options?.typescript !== false,
    refresh: file.options?.refresh === "always" ? "always" : "when-asked",
  };
}

function parseYaml(text: string): ProjectFile {
  const yaml: { load(text: string): unknown } = createRequire(require.resolve("@pulumi/pulumi"))("js-yaml");
  // Pulumi.yaml is the tests' own file: its shape needs no check here.
  return yaml.load(text) as ProjectFile;
}

/** The same project as seen from any other folder. */
export function projectTextFor(project: Project): string {
  const main = project.entry === "." ? project.programFolder : project.entry;
  return JSON.stringify({
    name: project.name,
    runtime: { name: "nodejs", options: { typescript: project.typescript } },
    main,
    options: project.refresh === "always" ? { refresh: "always" } : {},
  });
}
