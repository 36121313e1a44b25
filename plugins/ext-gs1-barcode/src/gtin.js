// Numbers with a check digit, and the forms of a GTIN.

// The lengths of a GTIN; codes have the longest, filled up with zeros from the left.
const GTIN_DIGITS = ['8', '12', '13', '14'];

// True if the last digit is the check digit of the ones before it: their sum, weighted 3, 1, 3, … from
// the right, is filled up to a multiple of ten.
export function hasCheckDigit(digits) {
  let sum = 0;
  for (let place = 0; place < digits.length; place += 1) {
    const digit = Number(digits[digits.length - 1 - place]);
    sum += place % 2 === 0 ? digit : 3 * digit;
  }
  return sum % 10 === 0;
}

// The GTIN of 14 digits as the tenant writes it: without leading zeros, down to so many digits. The
// check digit is the same in every length.
export function itemNumber(gtin, digits) {
  if (!GTIN_DIGITS.includes(digits)) {
    throw new Error(`The configuration \`gtin-digits\` is \`${digits}\`; it must be one of ${GTIN_DIGITS.join(', ')}.`);
  }
  let shorter = gtin;
  while (shorter.length > Number(digits) && shorter.startsWith('0')) {
    shorter = shorter.slice(1);
  }
  return shorter;
}
