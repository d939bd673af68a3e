import assert from 'node:assert/strict';
import fc from 'fast-check';
import { test } from 'node:test';
import type { Crc32c } from '../../src/model/crc32c.ts';

/** What every implementation of CRC-32C must do. */
export function crc32cSuite(name: string, crc32c: Crc32c): void {
  const text = new TextEncoder();

  test(`${name}: the check values of the catalogue of CRCs and of RFC 3720, B.4`, () => {
    assert.equal(crc32c(text.encode('123456789')), 0xe3069283);
    assert.equal(crc32c(new Uint8Array(32)), 0x8a9136aa);
    assert.equal(crc32c(new Uint8Array(32).fill(0xff)), 0x62a8ab43);
    assert.equal(crc32c(Uint8Array.from({ length: 32 }, (_, at) => at)), 0x46dd794e);
  });

  test(`${name}: it goes on where an earlier checksum ended`, () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 500 }), fc.nat(500), (bytes, cut) => {
        const whole = crc32c(bytes);
        assert.equal(crc32c(bytes.subarray(cut), crc32c(bytes.subarray(0, cut))), whole);
        assert.equal(whole, whole >>> 0);
      }),
    );
  });

  test(`${name}: no bytes change nothing, also after a large input`, () => {
    assert.equal(crc32c(new Uint8Array(8 << 20)), crc32c(new Uint8Array(4 << 20), crc32c(new Uint8Array(4 << 20))));
    assert.equal(crc32c(new Uint8Array(0)), 0);
    assert.equal(crc32c(new Uint8Array(0), 0xdeadbeef), 0xdeadbeef);
  });

  test(`${name}: a view into a larger buffer is read where it begins`, () => {
    const buffer = Buffer.from('xx123456789yy');
    assert.equal(crc32c(buffer.subarray(2, 11)), 0xe3069283);
  });
}
