// Fills the extension point `inventory:stock/barcode` with GS1 element strings.
import { get } from 'wasi:config/store@0.2.0-rc.1';
import { read } from './gs1.js';
import { itemNumber } from './gtin.js';

export const barcode = {
  parse(code, today) {
    const parsed = read(code, today);
    if (parsed?.item !== undefined) {
      parsed.item = itemNumber(parsed.item, get('gtin-digits') ?? '14');
    }
    return parsed;
  },
};
