/** Amounts in sentences. Pure. */

const units = ["bytes", "KiB", "MiB", "GiB", "TiB", "PiB"];

/**
 * `1.5 GiB`, `96 MiB`: one decimal below 100, none where it is zero.
 * @param rounding `up` for what is needed at least
 */
export function bytesText(bytes: number, rounding: "nearest" | "up" = "nearest"): string {
  const power = bytes < 1024 ? 0 : Math.min(units.length - 1, Math.floor(Math.log2(bytes) / 10));
  const amount = bytes / 1024 ** power;
  const steps = power === 0 || amount >= 100 ? 1 : 10;
  return `${(rounding === "up" ? Math.ceil : Math.round)(amount * steps) / steps} ${units[power]}`;
}
