// What codes say: real ones in every form, and ones that are damaged or of another kind.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { read } from '../src/gs1.js';

const GS = '\u001d';
const TODAY = '2026-11-30';
const GTIN = '09501101530003';

// What is read of a code, without the fields that it does not have.
function parsed(code, today = TODAY) {
  const answer = read(code, today);
  if (answer === undefined) return undefined;
  const { further, ...fields } = answer;
  const present = Object.entries(fields).filter(([, value]) => value !== undefined);
  const others = further.map(({ name, value }) => [name, value]);
  return Object.fromEntries(others.length > 0 ? [...present, ['further', Object.fromEntries(others)]] : present);
}

const further = (code) => parsed(code)?.further;

test('every form of an element string says the same', () => {
  const expected = { item: GTIN, batch: 'AB-123', expiresOn: '2027-02-28', serial: '7' };
  const data = `01${GTIN}17270228` + `10AB-123${GS}217`;
  for (const prefix of [']C1', ']e0', ']d2', ']Q3', ']J1', GS, `]d2${GS}`, '']) {
    assert.deepEqual(parsed(prefix + data), expected, JSON.stringify(prefix));
    assert.deepEqual(parsed(`${prefix}${data}${GS}`), expected);
    assert.deepEqual(parsed(`${prefix}${data}\r\n`), expected);
  }
  assert.deepEqual(parsed(`(01)${GTIN}(17)270228(10)AB-123(21)7`), expected);
  assert.deepEqual(parsed(`(01) ${GTIN} (10) AB-123 (17) 270228 (21) 7`), expected);
});

test('separators are needed after values of open length, and do no harm elsewhere', () => {
  assert.deepEqual(parsed(`]C110LOT17270228`), { batch: 'LOT17270228' });
  assert.deepEqual(parsed(`]C110LOT${GS}17270228`), { batch: 'LOT', expiresOn: '2027-02-28' });
  assert.deepEqual(parsed(`]C101${GTIN}${GS}17270228`), { item: GTIN, expiresOn: '2027-02-28' });
  assert.equal(parsed(`]C110LOT${GS}${GS}17270228`), undefined);
});

test('the content of a container with its number', () => {
  const sscc = '106141412345678908';
  assert.deepEqual(parsed(`]C100${sscc}02${GTIN}37000024${GS}10B7`), {
    item: GTIN, batch: 'B7', quantity: 24n, container: sscc,
  });
  assert.deepEqual(parsed(`00${sscc}`), { container: sscc });
});

test('check digits are checked wherever there is one', () => {
  for (const [code, name] of [
    [`]C101${GTIN}`, 'item'],
    ['(00)106141412345678908', 'container'],
    ['(410)9501101020016', 'ship-to'],
    ['(402)95011011015234009', 'shipment'],
    ['(253)9501101020016ABC', 'document'],
  ]) {
    const answer = parsed(code);
    assert.ok(answer?.[name] ?? answer?.further[name], code);
    const place = code.length - (code.endsWith('ABC') ? 4 : 1);
    for (let change = 1; change < 10; change += 1) {
      const digit = (Number(code[place]) + change) % 10;
      const damaged = code.slice(0, place) + digit + code.slice(place + 1);
      assert.equal(parsed(damaged), undefined, damaged);
    }
  }
});

test('days of codes', () => {
  const expiry = (digits, today) => parsed(`(17)${digits}`, today)?.expiresOn;
  assert.equal(expiry('270200'), '2027-02-28', 'day 00 is the last of the month');
  assert.equal(expiry('280200'), '2028-02-29');
  assert.equal(expiry('271200'), '2027-12-31');
  for (const wrong of ['270230', '271301', '270001', '270431', '290229']) {
    assert.equal(expiry(wrong), undefined, wrong);
  }
  assert.equal(parsed('(4326)270200'), undefined, 'a release has a day');
  assert.deepEqual(further('(4326)270228'), { 'released-on': '2027-02-28' });
  assert.deepEqual(further('(7007)261001261031'), { 'harvested-on': '2026-10-01/2026-10-31' });
  assert.equal(parsed('(7007)261001261032'), undefined);
});

test('a year of two digits is 49 years back at most, and 50 ahead', () => {
  const year = (digits, today) => parsed(`(17)${digits}0101`, today).expiresOn.slice(0, 4);
  assert.equal(year('76', '2026-11-30'), '2076');
  assert.equal(year('77', '2026-11-30'), '1977');
  assert.equal(year('99', '2026-11-30'), '1999');
  assert.equal(year('00', '2026-11-30'), '2000');
  assert.equal(year('09', '2058-01-01'), '2009');
  assert.equal(year('08', '2058-01-01'), '2108');
  assert.equal(year('98', '2001-01-01'), '1998');
});

test('what expires is what must be used first by its date', () => {
  assert.deepEqual(parsed('(15)270131(17)270331'), { expiresOn: '2027-03-31', further: { 'best-before': '2027-01-31' } });
  assert.deepEqual(parsed('(15)270131'), { expiresOn: '2027-01-31', further: { 'best-before': '2027-01-31' } });
  assert.deepEqual(parsed('(7003)2701311430'), { expiresOn: '2027-01-31', further: { 'expires-at': '2027-01-31T14:30' } });
  assert.equal(parsed('(7003)2701312430'), undefined);
  assert.deepEqual(further('(8008)26113008'), { 'produced-at-time': '2026-11-30T08:00' });
  assert.deepEqual(further('(8008)261130081559'), { 'produced-at-time': '2026-11-30T08:15:59' });
  assert.equal(parsed('(8008)261130081'), undefined);
  assert.deepEqual(further('(4324)2702009999'), { 'deliver-not-before': '2027-02-28' });
});

test('measures and amounts have their point where the identifier says', () => {
  assert.deepEqual(further('(3103)001250'), { 'net-weight-kg': '1.250' });
  assert.deepEqual(further('(3100)000012'), { 'net-weight-kg': '12' });
  assert.deepEqual(further('(3105)000001'), { 'net-weight-kg': '0.00001' });
  assert.deepEqual(further('(3202)000550'), { 'net-weight-lb': '5.50' });
  assert.deepEqual(further('(3690)000003'), { 'gross-volume-yd3': '3' });
  assert.deepEqual(further('(3922)1299'), { price: '12.99' });
  assert.deepEqual(further('(3932)978599'), { 'price-in-currency': '5.99 978' });
  assert.deepEqual(further('(3942)0550'), { 'percent-off': '5.50' });
  assert.deepEqual(further(`]C13103001250${'400PO-4711'}`), { 'net-weight-kg': '1.250', order: 'PO-4711' });
  assert.equal(parsed('(3106)001250'), undefined);
  assert.equal(parsed('(3103)01250'), undefined);
});

test('quantities', () => {
  assert.equal(parsed(`(01)${GTIN}(30)12`).quantity, 12n);
  assert.equal(parsed(`(02)${GTIN}(37)00000400`).quantity, 400n);
  assert.equal(parsed(`(01)${GTIN}(30)0`), undefined);
  assert.equal(parsed(`(01)${GTIN}(30)123456789`), undefined);
});

test('values may have every character of the set, parentheses too', () => {
  assert.equal(parsed('(10)A/1+(b)_"%').batch, 'A/1+(b)_"%');
  assert.equal(parsed('(10)Ä1'), undefined);
  assert.equal(parsed(`(10)${'x'.repeat(20)}`).batch.length, 20);
  assert.equal(parsed(`(10)${'x'.repeat(21)}`), undefined);
});

test('what contradicts itself is not read', () => {
  assert.equal(parsed(`(01)${GTIN}(02)${GTIN}`), undefined);
  assert.equal(parsed(`(01)${GTIN}(37)5`), undefined);
  assert.equal(parsed(`(10)A(10)B`), undefined);
  assert.equal(parsed('(3103)001250(3102)001250'), undefined);
  assert.deepEqual(parsed('(10)A(10)A'), { batch: 'A' });
});

test('codes of another kind are left to the app', () => {
  for (const code of [
    'SHIRT-M', '4006381333931', '0400638133393', '01', '01095011015300', `01${GTIN.slice(0, 13)}4`,
    '10LOT', '17270228', 'https://id.gs1.org/01/09501101530003', ']C0LOT', ']E04006381333931', `]A001${GTIN}`,
    ']C1', GS, '', '(', '(01)', '()', '(01', `x(01)${GTIN}`, '(88)1', ']C18812', ']C1abc', `(01)${GTIN}x`,
    '(010)9501101530003', ']C1' + '('.repeat(400), '('.repeat(500), '(10)'.repeat(120),
  ]) {
    assert.equal(parsed(code), undefined, code);
  }
});

test('whatever is scanned, nothing breaks', () => {
  const pieces = ['01', GTIN, '10', '17', '270228', GS, '(', ')', ']C1', '3103', '001250', 'ä', '\0', '00', 'A/1'];
  // A small generator with a fixed start, so that a failure can be looked at again.
  let state = 42;
  const next = (below) => {
    state = (state * 1103515245 + 12345) % 2147483648;
    return Math.floor((state / 2147483648) * below);
  };
  for (let round = 0; round < 20000; round += 1) {
    const code = Array.from({ length: next(8) + 1 }, () => pieces[next(pieces.length)]).join('');
    const answer = read(code, TODAY);
    if (answer !== undefined) {
      for (const { name, value } of answer.further) {
        assert.match(name, /^[a-z0-9-]{1,40}$/, code);
        assert.match(value, /^[ -~]{1,100}$/, code);
      }
    }
  }
});
