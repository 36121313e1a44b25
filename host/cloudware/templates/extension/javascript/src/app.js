// Fills the extension point `example:shop/discount`: a discount on ten and more of an item.
import { get } from 'wasi:config/store@0.2.0-rc.1';

export const discount = {
  // Numbers of 64 bits are BigInt.
  discount(lines, today) {
    const many = lines.filter((line) => line.quantity >= 10);
    const cents = many.reduce((sum, line) => sum + line.priceCents * BigInt(line.quantity), 0n);
    const given = (cents * BigInt(get('percent') ?? '0')) / 100n;
    return given > 0n ? given : undefined;
  },
};
