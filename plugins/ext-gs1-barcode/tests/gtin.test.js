// Check digits and the forms of a GTIN.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hasCheckDigit, itemNumber } from '../src/gtin.js';

test('check digits of real numbers', () => {
  for (const number of ['4006381333931', '96385074', '036000291452', '00012345600012', '106141412345678908']) {
    assert.ok(hasCheckDigit(number), number);
    const damaged = number.slice(0, -1) + ((Number(number.at(-1)) + 1) % 10);
    assert.ok(!hasCheckDigit(damaged), damaged);
  }
});

test('leading zeros are removed down to the digits of the tenant', () => {
  assert.equal(itemNumber('04006381333931', '14'), '04006381333931');
  assert.equal(itemNumber('04006381333931', '13'), '4006381333931');
  assert.equal(itemNumber('00036000291452', '13'), '0036000291452');
  assert.equal(itemNumber('00036000291452', '12'), '036000291452');
  assert.equal(itemNumber('00000096385074', '8'), '96385074');
  assert.equal(itemNumber('14006381333938', '13'), '14006381333938', 'a digit that is not zero stays');
});

test('a configuration that is none says so', () => {
  for (const digits of ['', '15', 'thirteen', '8.0']) {
    assert.throws(() => itemNumber('04006381333931', digits), /gtin-digits.*8, 12, 13, 14/);
  }
});
