import type { Engine, EngineSettings } from "./engine.js";

export async function findCli(): Promise<string | undefined> {
  return undefined;
}

export function openCli(_program: string, _settings: EngineSettings): Engine {
  throw new Error("No CLI.");
}
