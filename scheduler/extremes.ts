/** Of thousands of numbers, more than can be arguments; NaN is none of them. Infinity where there are none. */
export function minOf(numbers: ArrayLike<number>): number {
  let least = Infinity;
  for (let i = 0; i < numbers.length; i++) if (numbers[i]! < least) least = numbers[i]!;
  return least;
}

/** -Infinity where there are none. */
export function maxOf(numbers: ArrayLike<number>): number {
  let most = -Infinity;
  for (let i = 0; i < numbers.length; i++) if (numbers[i]! > most) most = numbers[i]!;
  return most;
}
