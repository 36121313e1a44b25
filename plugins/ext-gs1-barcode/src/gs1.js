// Reads GS1 element strings, as scanners send them and as people read them below the bars.
import { dateOf, timeOf } from './date.js';
import { hasCheckDigit } from './gtin.js';
import { IDENTIFIERS, IDENTIFIER_DIGITS } from './identifiers.js';

// Stands for FNC1, which ends a value whose length is not known.
const SEPARATOR = '\u001d';

// What a scanner sends before the data of GS1-128, GS1 DataBar, GS1 DataMatrix, GS1 QR Code and GS1
// DotCode, if it is set to do so (symbology identifiers of ISO/IEC 15424).
const SYMBOLOGIES = [']C1', ']e0', ']d2', ']Q3', ']J1'];

// Identifiers that exclude each other: a trade item is no container's content, and so on.
const EXCLUSIVE = [['01', '02'], ['01', '37'], ['01', '255'], ['21', '235']];

// What the code says, or undefined where it is no element string, or a damaged one.
export function read(code, today) {
  const elements = split(code.replace(/[\r\n]+$/, ''));
  if (elements === undefined || !consistent(elements)) return undefined;
  const said = elements.map((element) => valueOf(element, today));
  return said.includes(undefined) ? undefined : meaning(new Map(said));
}

// The elements of a code in any of its forms: [[identifier, value], …].
function split(code) {
  if (code.startsWith('(')) return splitForPeople(code);
  const symbology = SYMBOLOGIES.find((prefix) => code.startsWith(prefix));
  if (symbology !== undefined) return splitData(code.slice(symbology.length));
  if (code.startsWith(SEPARATOR)) return splitData(code);
  return looksLikeData(code) ? splitData(code) : undefined;
}

// Digits alone may as well be an article number, and "4006…" would be an order number: without a sign of
// its kind a code must begin with the number of a trade item or container that has its check digit.
function looksLikeData(code) {
  const element = ['00', '01', '02'].includes(code.slice(0, 2)) ? first(code) : undefined;
  return element !== undefined && checkDigitHolds(element);
}

// Data without its symbology identifier: identifiers and values, one after the other.
function splitData(data) {
  const elements = [];
  let rest = data.startsWith(SEPARATOR) ? data.slice(1) : data;
  while (rest !== '') {
    const element = first(rest);
    if (element === undefined) return undefined;
    elements.push(element);
    const [identifier, value] = element;
    rest = rest.slice(identifier.length + value.length);
    // Also where none is needed, some printers put one.
    if (rest.startsWith(SEPARATOR)) rest = rest.slice(1);
  }
  return elements.length > 0 ? elements : undefined;
}

// The element that data begins with.
function first(data) {
  const identifier = IDENTIFIER_DIGITS.map((digits) => data.slice(0, digits)).find((text) => IDENTIFIERS.has(text));
  if (identifier === undefined) return undefined;
  const { length, pattern } = IDENTIFIERS.get(identifier);
  const rest = data.slice(identifier.length);
  const separator = rest.indexOf(SEPARATOR);
  const value = rest.slice(0, length ?? (separator === -1 ? rest.length : separator));
  return pattern.test(value) ? [identifier, value] : undefined;
}

// `(01)09501101530003(10)AB-123`; a value may have parentheses, but not ones that look like an identifier.
function splitForPeople(text) {
  const parts = text.split(/\((\d{2,4})\)/);
  const [before, ...pairs] = parts;
  if (before !== '' || pairs.length === 0) return undefined;
  const elements = [];
  for (let index = 0; index < pairs.length; index += 2) {
    const [identifier, value] = [pairs[index], pairs[index + 1].trim()];
    if (!IDENTIFIERS.get(identifier)?.pattern.test(value)) return undefined;
    elements.push([identifier, value]);
  }
  return elements;
}

// Nothing is said twice in different ways, or together with what it excludes.
function consistent(elements) {
  const values = new Map();
  for (const [identifier, value] of elements) {
    // With a point elsewhere it is still the same measure.
    const key = IDENTIFIERS.get(identifier).reading === 'decimal' ? identifier.slice(0, 3) : identifier;
    const said = identifier + value;
    if ((values.get(key) ?? said) !== said) return false;
    values.set(key, said);
  }
  return !EXCLUSIVE.some((pair) => pair.every((identifier) => values.has(identifier)));
}

function checkDigitHolds([identifier, value]) {
  const { reading, checked } = IDENTIFIERS.get(identifier);
  return reading !== 'check' || hasCheckDigit(value.slice(0, checked));
}

// Name and value of an element, the value as people write it; undefined where it is damaged.
function valueOf(element, today) {
  const [identifier, digits] = element;
  const { name, reading } = IDENTIFIERS.get(identifier);
  const value = readings[reading ?? 'text'](digits, element, today);
  return value === undefined ? undefined : [name, value];
}

const readings = {
  text: (value) => value,
  check: (value, element) => (checkDigitHolds(element) ? value : undefined),
  date: (digits, _, today) => dateOf(digits, today, true),
  day: (digits, _, today) => dateOf(digits, today, false),
  days(digits, _, today) {
    const days = digits.match(/.{6}/g).map((day) => dateOf(day, today, false));
    return days.includes(undefined) ? undefined : days.join('/');
  },
  moment: (digits, _, today) => moment(dateOf(digits, today, false), digits.slice(6)),
  window: (digits, _, today) => moment(dateOf(digits, today, true), digits.slice(6).replace('9999', '')),
  decimal(value, [identifier]) {
    // The currency comes first, in three digits.
    const currency = ['391', '393'].includes(identifier.slice(0, 3)) ? value.slice(0, 3) : '';
    const places = Number(identifier[3]);
    const digits = value.slice(currency.length).padStart(places + 1, '0');
    const whole = digits.slice(0, digits.length - places).replace(/^0+(?=\d)/, '');
    const number = places === 0 ? whole : `${whole}.${digits.slice(-places)}`;
    return currency === '' ? number : `${number} ${currency}`;
  },
};

function moment(date, digits) {
  if (date === undefined || digits === '') return date;
  const time = timeOf(digits);
  return time === undefined ? undefined : `${date}T${time}`;
}

// What the interface has a field for, and the rest in the order of the code.
function meaning(said) {
  const take = (name) => {
    const value = said.get(name);
    said.delete(name);
    return value;
  };
  const item = take('gtin') ?? take('content');
  const count = take('count') ?? take('content-count');
  const quantity = count === undefined ? undefined : BigInt(count);
  if (quantity === 0n) return undefined;
  // What expires at a time expires on that day; food that is only best before a day has no other date.
  const expiresOn = take('use-by') ?? said.get('expires-at')?.slice(0, 10) ?? said.get('best-before');
  return {
    item,
    batch: take('batch'),
    expiresOn,
    quantity,
    serial: take('serial'),
    container: take('sscc'),
    further: [...said].map(([name, value]) => ({ name, value })),
  };
}
