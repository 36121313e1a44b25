// The application identifiers of the GS1 General Specifications: what follows each, and what it means.
//
// A row is [identifiers, format, name, reading]. Identifiers are one, a list, or a range; of several the
// name is made distinct by the identifier, unless its last digit is read as decimals. A format is made of
// parts: `n14` is 14 digits, `n..8` 1 to 8 digits, `x` characters of the set 82, `y` of the set 39; a part
// with `?` may be left out. How a value is read, where it is not just text:
// - `check`: the first part ends with a check digit;
// - `date`: a day, and 00 is the last day of the month; `day`: a day that is written in full;
// - `days`: one such day, or the first and the last; `moment`: such a day, and perhaps a time;
// - `window`: a `date` and a time, where 9999 is none;
// - `decimal`: the last digit of the identifier says how many digits are behind the point.

const ROWS = [
  ['00', 'n18', 'sscc', 'check'],
  ['01', 'n14', 'gtin', 'check'],
  ['02', 'n14', 'content', 'check'],
  ['03', 'n14', 'made-to-order-gtin', 'check'],
  ['10', 'x..20', 'batch'],
  ['11', 'n6', 'produced-on', 'date'],
  ['12', 'n6', 'due-on', 'date'],
  ['13', 'n6', 'packed-on', 'date'],
  ['15', 'n6', 'best-before', 'date'],
  ['16', 'n6', 'sell-by', 'date'],
  ['17', 'n6', 'use-by', 'date'],
  ['20', 'n2', 'variant'],
  ['21', 'x..20', 'serial'],
  ['22', 'x..20', 'consumer-product-variant'],
  ['235', 'x..28', 'third-party-serial'],
  ['240', 'x..30', 'additional-id'],
  ['241', 'x..30', 'customer-part'],
  ['242', 'n..6', 'made-to-order-variant'],
  ['243', 'x..20', 'packaging-component'],
  ['250', 'x..30', 'secondary-serial'],
  ['251', 'x..30', 'source'],
  ['253', 'n13 x..17?', 'document', 'check'],
  ['254', 'x..20', 'location-extension'],
  ['255', 'n13 n..12?', 'coupon', 'check'],
  ['30', 'n..8', 'count'],
  ['37', 'n..8', 'content-count'],
  ['390n', 'n..15', 'amount', 'decimal'],
  ['391n', 'n3 n..15', 'amount-in-currency', 'decimal'],
  ['392n', 'n..15', 'price', 'decimal'],
  ['393n', 'n3 n..15', 'price-in-currency', 'decimal'],
  ['3940-3943', 'n4', 'percent-off', 'decimal'],
  ['3950-3955', 'n6', 'price-per-unit-of-measure', 'decimal'],
  ['400', 'x..30', 'order'],
  ['401', 'x..30', 'consignment'],
  ['402', 'n17', 'shipment', 'check'],
  ['403', 'x..30', 'route'],
  ['410', 'n13', 'ship-to', 'check'],
  ['411', 'n13', 'bill-to', 'check'],
  ['412', 'n13', 'purchased-from', 'check'],
  ['413', 'n13', 'ship-for', 'check'],
  ['414', 'n13', 'location', 'check'],
  ['415', 'n13', 'pay-to', 'check'],
  ['416', 'n13', 'produced-at', 'check'],
  ['417', 'n13', 'party', 'check'],
  ['420', 'x..20', 'ship-to-postcode'],
  ['421', 'n3 x..9', 'ship-to-country-and-postcode'],
  ['422', 'n3', 'origin-country'],
  ['423', 'n..15', 'initial-processing-countries'],
  ['424', 'n3', 'processing-country'],
  ['425', 'n..15', 'disassembly-countries'],
  ['426', 'n3', 'full-processing-country'],
  ['427', 'x..3', 'origin-subdivision'],
  ['4300', 'x..35', 'ship-to-company'],
  ['4301', 'x..35', 'ship-to-contact'],
  ['4302', 'x..70', 'ship-to-address'],
  ['4303', 'x..70', 'ship-to-address-more'],
  ['4304', 'x..70', 'ship-to-suburb'],
  ['4305', 'x..70', 'ship-to-locality'],
  ['4306', 'x..70', 'ship-to-region'],
  ['4307', 'x2', 'ship-to-country'],
  ['4308', 'x..30', 'ship-to-phone'],
  ['4309', 'n20', 'ship-to-position'],
  ['4310', 'x..35', 'return-to-company'],
  ['4311', 'x..35', 'return-to-contact'],
  ['4312', 'x..70', 'return-to-address'],
  ['4313', 'x..70', 'return-to-address-more'],
  ['4314', 'x..70', 'return-to-suburb'],
  ['4315', 'x..70', 'return-to-locality'],
  ['4316', 'x..70', 'return-to-region'],
  ['4317', 'x2', 'return-to-country'],
  ['4318', 'x..20', 'return-to-postcode'],
  ['4319', 'x..30', 'return-to-phone'],
  ['4320', 'x..35', 'service'],
  ['4321', 'n1', 'dangerous-goods'],
  ['4322', 'n1', 'authority-to-leave'],
  ['4323', 'n1', 'signature-required'],
  ['4324', 'n10', 'deliver-not-before', 'window'],
  ['4325', 'n10', 'deliver-not-after', 'window'],
  ['4326', 'n6', 'released-on', 'day'],
  ['4330', 'n6 x1?', 'temperature-max-f'],
  ['4331', 'n6 x1?', 'temperature-max-c'],
  ['4332', 'n6 x1?', 'temperature-min-f'],
  ['4333', 'n6 x1?', 'temperature-min-c'],
  ['7001', 'n13', 'nato-stock-number'],
  ['7002', 'x..30', 'meat-cut'],
  ['7003', 'n10', 'expires-at', 'moment'],
  ['7004', 'n..4', 'active-potency'],
  ['7005', 'x..12', 'catch-area'],
  ['7006', 'n6', 'first-frozen-on', 'day'],
  ['7007', 'n6 n6?', 'harvested-on', 'days'],
  ['7008', 'x..3', 'aquatic-species'],
  ['7009', 'x..10', 'fishing-gear'],
  ['7010', 'x..2', 'production-method'],
  ['7011', 'n6 n4?', 'test-by', 'moment'],
  ['7020', 'x..20', 'refurbishment-lot'],
  ['7021', 'x..20', 'functional-status'],
  ['7022', 'x..20', 'revision-status'],
  ['7023', 'x..30', 'assembly-asset'],
  ['7030-7039', 'n3 x..27', 'processor'],
  ['7040', 'n1 x3', 'unique-identification-code'],
  [['710', '711', '712', '713', '714', '715', '716'], 'x..20', 'national-healthcare-number'],
  ['7230-7239', 'x2 x..28', 'certification'],
  ['7240', 'x..20', 'protocol'],
  ['7241', 'n2', 'media-type'],
  ['7242', 'x..25', 'version-control'],
  ['8001', 'n14', 'roll-dimensions'],
  ['8002', 'x..20', 'mobile-phone'],
  ['8003', 'n14 x..16?', 'returnable-asset', 'check'],
  ['8004', 'x..30', 'individual-asset'],
  ['8005', 'n6', 'price-per-unit'],
  ['8006', 'n14 n4', 'trade-item-piece', 'check'],
  ['8007', 'x..34', 'iban'],
  ['8008', 'n8 n..4?', 'produced-at-time', 'moment'],
  ['8009', 'x..50', 'sensor'],
  ['8010', 'y..30', 'component-part'],
  ['8011', 'n..12', 'component-part-serial'],
  ['8012', 'x..20', 'software-version'],
  ['8013', 'x..25', 'model'],
  ['8017', 'n18', 'service-provider', 'check'],
  ['8018', 'n18', 'service-recipient', 'check'],
  ['8019', 'n..10', 'service-instance'],
  ['8020', 'x..25', 'payment-reference'],
  ['8026', 'n14 n4', 'trade-item-piece-content', 'check'],
  ['8110', 'x..70', 'coupon-code'],
  ['8111', 'n4', 'loyalty-points'],
  ['8112', 'x..70', 'coupon-offer'],
  ['8200', 'x..70', 'product-url'],
  ['90', 'x..30', 'agreed'],
  ['91-99', 'x..90', 'internal'],
];

// What the measures 310n to 369n are: six digits each.
const MEASURES = {
  310: 'net-weight-kg', 311: 'length-m', 312: 'width-m', 313: 'height-m', 314: 'area-m2', 315: 'net-volume-l',
  316: 'net-volume-m3', 320: 'net-weight-lb', 321: 'length-in', 322: 'length-ft', 323: 'length-yd',
  324: 'width-in', 325: 'width-ft', 326: 'width-yd', 327: 'height-in', 328: 'height-ft', 329: 'height-yd',
  330: 'gross-weight-kg', 331: 'gross-length-m', 332: 'gross-width-m', 333: 'gross-height-m',
  334: 'gross-area-m2', 335: 'gross-volume-l', 336: 'gross-volume-m3', 337: 'kg-per-m2',
  340: 'gross-weight-lb', 341: 'gross-length-in', 342: 'gross-length-ft', 343: 'gross-length-yd',
  344: 'gross-width-in', 345: 'gross-width-ft', 346: 'gross-width-yd', 347: 'gross-height-in',
  348: 'gross-height-ft', 349: 'gross-height-yd', 350: 'area-in2', 351: 'area-ft2', 352: 'area-yd2',
  353: 'gross-area-in2', 354: 'gross-area-ft2', 355: 'gross-area-yd2', 356: 'net-weight-ozt',
  357: 'net-volume-oz', 360: 'net-volume-qt', 361: 'net-volume-gal', 362: 'gross-volume-qt',
  363: 'gross-volume-gal', 364: 'volume-in3', 365: 'volume-ft3', 366: 'volume-yd3', 367: 'gross-volume-in3',
  368: 'gross-volume-ft3', 369: 'gross-volume-yd3',
};

// The digits with which identifiers begin whose values have a length that every reader knows, so that
// nothing separates them from what follows.
const WITHOUT_SEPARATOR = /^(0[0-4]|1[1-9]|20|3[1-6]|41)/;

const CHARACTERS = { n: '[0-9]', x: '[!"%&\'()*+,\\-./0-9:;<=>?A-Z_a-z]', y: '[#\\-/0-9A-Z]' };

// Every identifier: its pattern, length if it is fixed, name, and how its value is read.
export const IDENTIFIERS = new Map([...ROWS, ...measures()].flatMap(expand));

// The lengths of identifiers; no identifier begins with another.
export const IDENTIFIER_DIGITS = [2, 3, 4];

function measures() {
  return Object.entries(MEASURES).map(([prefix, name]) => [`${prefix}0-${prefix}5`, 'n6', name, 'decimal']);
}

function expand([identifiers, format, name, reading]) {
  const { pattern, checked } = compile(format);
  const all = allOf(identifiers);
  const alike = all.length === 1 || reading === 'decimal';
  return all.map((identifier) => [
    identifier,
    {
      name: alike ? name : `${name}-${identifier}`,
      reading,
      pattern,
      checked,
      length: WITHOUT_SEPARATOR.test(identifier) ? Number(format.slice(1)) : undefined,
    },
  ]);
}

function allOf(identifiers) {
  if (Array.isArray(identifiers)) return identifiers;
  if (identifiers.endsWith('n')) return [...'0123456789'].map((digit) => identifiers.slice(0, -1) + digit);
  const [first, last = first] = identifiers.split('-');
  const count = Number(last) - Number(first) + 1;
  return Array.from({ length: count }, (_, index) => String(Number(first) + index).padStart(first.length, '0'));
}

// The pattern of a format, and how many digits its first part has.
function compile(format) {
  const parts = format.split(' ').map((part) => {
    const [, set, upTo, length, optional] = part.match(/^([nxy])(\.\.)?(\d+)(\?)?$/);
    const least = upTo ? 1 : length;
    const repeated = `${CHARACTERS[set]}{${least},${length}}`;
    return optional ? `(?:${repeated})?` : repeated;
  });
  return { pattern: new RegExp(`^${parts.join('')}$`), checked: Number(format.match(/\d+/)[0]) };
}
