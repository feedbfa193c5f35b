/** The pages lead to each other, and to files that are there. */

import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import path from "node:path";

const root = path.resolve(__dirname, "../..");

const pages = [
  ...readdirSync(root).filter((name) => name.endsWith(".md")),
  ...readdirSync(path.join(root, "docs"), { recursive: true, encoding: "utf8" }).map((name) => path.join("docs", name)),
].filter((name) => name.endsWith(".md"));

/** Links to files, without their part of a page. */
function linksOf(text: string): string[] {
  return [...text.matchAll(/\]\(([^)#\s]+)/g)].map(([, link = ""]) => link).filter((link) => !/^[a-z]+:/.test(link));
}

/** Names of sources, `{a,b}` written out. */
function sourcesIn(text: string): string[] {
  return [...text.matchAll(/`([^`\s*]+\.(?:ts|py))`/g)].flatMap(([, name = ""]) => writtenOut(name));
}

function writtenOut(name: string): string[] {
  const [, before, list, after] = /^([^{]*)\{([^}]*)\}(.*)$/.exec(name) ?? [];
  if (before === undefined || list === undefined || after === undefined) return [name];
  return list.split(",").flatMap((each) => writtenOut(`${before}${each}${after}`));
}

function sources(): string[] {
  const folders = ["provider", "test", "tools", "bench"];
  return folders.flatMap((folder) =>
    readdirSync(path.join(root, folder), { recursive: true, encoding: "utf8" }).map((name) => path.join("/", folder, name)),
  );
}

describe("the pages of the documentation", () => {
  for (const page of ["docs/architecture.md", "CONTRIBUTING.md"])
    it(`name only sources that are there: ${page}`, () => {
      const all = sources();
      const named = sourcesIn(readFileSync(path.join(root, page), "utf8"));
      assert(named.length > 5);
      assert.deepEqual(
        named.filter((name) => !all.some((file) => file.endsWith(`/${name}`))),
        [],
      );
    });

  it("would be found with a source that is gone", () => {
    assert.deepEqual(sourcesIn("`a/{b,c}.ts` and `d.py`, not `e` or `*.ts`"), ["a/b.ts", "a/c.ts", "d.py"]);
  });

  for (const page of pages) {
    it(`lead only to files that are there: ${page}`, () => {
      const links = linksOf(readFileSync(path.join(root, page), "utf8"));
      assert.deepEqual(
        links.filter((link) => !existsSync(path.join(root, path.dirname(page), link))),
        [],
      );
    });
  }

  it("lead only to files that are in the package, where they are in it", () => {
    const { files }: { files: string[] } = JSON.parse(readFileSync(path.join(root, "package.json"), "utf8"));
    const isPacked = (file: string) => files.some((each) => file === each || file.startsWith(`${each}/`));
    const lost = pages.filter(isPacked).flatMap((page) => {
      const targets = linksOf(readFileSync(path.join(root, page), "utf8")).map((link) => path.join(path.dirname(page), link));
      return targets
        .filter((target) => !isPacked(target) && !files.some((each) => each.startsWith(`${target}/`)))
        .map((target) => `${page} → ${target}`);
    });
    assert.deepEqual(lost, []);
  });

  it("are all reached from the README", () => {
    const reached = new Set<string>();
    const follow = (page: string): void => {
      if (reached.has(page) || !page.endsWith(".md")) return;
      reached.add(page);
      for (const link of linksOf(readFileSync(path.join(root, page), "utf8"))) follow(path.join(path.dirname(page), link));
    };
    follow("README.md");
    assert.deepEqual(
      pages.filter((page) => !reached.has(page) && existsSync(path.join(root, page))),
      [],
    );
  });

  it("would be found with a link that leads nowhere", () => {
    assert.deepEqual(linksOf("see [this](docs/no-such.md#part) and [that](https://example.org)"), ["docs/no-such.md"]);
  });
});
