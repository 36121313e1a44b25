// The table of identifiers is one that can be read without looking ahead.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { IDENTIFIERS, IDENTIFIER_DIGITS } from '../src/identifiers.js';

test('no identifier begins with another', () => {
  for (const identifier of IDENTIFIERS.keys()) {
    assert.ok(IDENTIFIER_DIGITS.includes(identifier.length), identifier);
    for (let digits = 1; digits < identifier.length; digits += 1) {
      assert.ok(!IDENTIFIERS.has(identifier.slice(0, digits)), identifier);
    }
  }
});

test('names are ones that the interface takes', () => {
  const meanings = new Map();
  for (const [identifier, { name, reading }] of IDENTIFIERS) {
    assert.match(name, /^[a-z0-9-]{1,40}$/);
    const meaning = reading === 'decimal' ? identifier.slice(0, 3) : identifier;
    assert.equal(meanings.get(name) ?? meaning, meaning, `${name} is the name of two`);
    meanings.set(name, meaning);
  }
});

test('values without separator have the lengths of the standard', () => {
  const lengths = {
    '00': 18, '01': 14, '02': 14, '03': 14, 11: 6, 12: 6, 13: 6, 15: 6, 16: 6, 17: 6, 20: 2, 3103: 6, 414: 13,
  };
  for (const [identifier, length] of Object.entries(lengths)) {
    assert.equal(IDENTIFIERS.get(identifier)?.length, length, identifier);
  }
  for (const [identifier, { length }] of IDENTIFIERS) {
    assert.equal(length !== undefined, /^(0[0-3]|1[1-7]|20|3[1-6]|41)/.test(identifier), identifier);
  }
});
