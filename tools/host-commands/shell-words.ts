/** Which programs a POSIX script starts: the words where a command may stand. A reader for our own scripts, not for any script. */

const shellsOwn = new Set(
  (
    "! : . [ break case cd command continue do done echo elif else esac eval exec exit export fi for if kill local printf pwd read return set shift test then trap " +
    "true false umask unset until wait while { }"
  ).split(" "),
);
/** After these another command may stand. */
const goesOn = new Set("! command do elif else eval exec if then try until while {".split(" "));

/** These run another program, which stands behind their own options and figures. */
const runsAnother = new Set("chrt env flock ionice nice nohup setpriv setsid stdbuf sudo taskset timeout xargs".split(" "));

/**
 * What stands between single quotes is passed over: awk, perl, and scripts for another shell. `kill`, `test` and `printf` are the shell's own.
 * @returns programs, sorted, without functions of the script's own
 */
export function programsIn(script: string): string[] {
  const reader = new Reader(script);
  reader.read();
  return [...reader.started].filter((word) => !reader.functions.has(word) && !shellsOwn.has(word)).sort();
}

class Reader {
  readonly started = new Set<string>();
  readonly functions = new Set<string>();
  /** What is open around the place: code, or a text in double quotes. */
  readonly #around: ("code" | "text")[] = ["code"];
  #at = 0;
  /** Whether a command may stand here; `label`: or a pattern of a `case`. */
  #expects: "command" | "label" | "argument" = "label";
  #runsAnother = false;

  constructor(private readonly script: string) {}

  read(): void {
    while (this.#at < this.script.length) {
      if (this.#around.at(-1) === "text") this.#text();
      else this.#code();
    }
  }

  #take(pattern: RegExp): string | undefined {
    const sticky = new RegExp(pattern, "y");
    sticky.lastIndex = this.#at;
    const [found] = sticky.exec(this.script) ?? [];
    if (found !== undefined) this.#at += found.length;
    return found;
  }

  #text(): void {
    if (this.#take(/"/)) this.#around.pop();
    else if (!this.#opens()) this.#take(/\\[\s\S]|[\s\S]/);
  }

  /** `$((…))` is a sum, `$(…)` holds commands. */
  #opens(): boolean {
    if (this.#take(/\$\(\([\s\S]*?\)\)/)) return true;
    if (!this.#take(/\$\(/)) return false;
    this.#around.push("code");
    this.#expects = "command";
    return true;
  }

  #code(): void {
    // a pattern of a `case`, which may be quoted
    if (this.#expects === "label" && this.#take(/[ \t]*("[^"]*"|[^\s;&()$"'#])+( *\| *("[^"]*"|[^\s;&()$"'])+)*\)/)) {
      this.#expects = "command";
      return;
    }
    if (this.#take(/\\[\s\S]/) || this.#take(/'[^']*'/) || this.#take(/(?<=^|\s)#.*/) || this.#take(/\$\{[^}]*\}|\$(\w+|[$?!#@*-])/))
      return;
    if (this.#opens()) return;
    if (this.#take(/"/)) return void this.#around.push("text");
    if (this.#take(/;;|\n/)) this.#expects = "label";
    else if (this.#take(/\d*[<>]+&?-?\s*/)) this.#take(/[\w./-]+/);
    else if (this.#take(/[;&|(]+/)) this.#expects = "command";
    else if (this.#take(/\)/)) this.#close();
    else this.#word();
  }

  #close(): void {
    const isOpen = this.#around.length > 1;
    if (isOpen) this.#around.pop();
    this.#expects = isOpen ? "argument" : "command";
  }

  #word(): void {
    if (this.#take(/[ \t]+/)) return;
    const isGlued = /[^\s;&|({)`]/.test(this.script[this.#at - 1] ?? "\n");
    const word = this.#take(/[\w.:!{}[\]/-]+/) ?? this.#take(/[\s\S]/);
    if (word === "in" && this.#expects === "argument") this.#expects = "label";
    else if (word === undefined || isGlued || this.#expects === "argument") return;
    else if (this.#take(/=[^\s;"'$()|&]*/) !== undefined) return;
    else if (this.#take(/\(\)/)) {
      this.functions.add(word);
      this.#expects = "command";
    } else this.#command(word);
  }

  #command(word: string): void {
    if (word === "for") {
      this.#take(/\s+\w+\s*/);
      if (this.#take(/in\b/)) this.#expects = "argument";
      return;
    }
    if (this.#runsAnother && /^[-+\d]/.test(word)) return;
    const program = /^(?:\/[\w./-]*\/)?([a-z][\w.-]*)$/.exec(word)?.[1];
    this.#runsAnother = program !== undefined && runsAnother.has(program);
    if (!goesOn.has(word) && !this.#runsAnother) this.#expects = "argument";
    if (program !== undefined) this.started.add(program);
  }
}
