// Sizes of files in the numbers of the person.

import { locale } from "../strings";

const UNITS = ["byte", "kilobyte", "megabyte", "gigabyte", "terabyte"];

/** `1.4 MB` */
export function sizeOf(bytes: number): string {
  const step = bytes < 1000 ? 0 : Math.min(Math.floor(Math.log10(bytes) / 3), UNITS.length - 1);
  const format = { style: "unit", unit: UNITS[step]!, unitDisplay: "short", maximumFractionDigits: step === 0 ? 0 : 1 } as const;
  return new Intl.NumberFormat(locale, format).format(bytes / 1000 ** step);
}
