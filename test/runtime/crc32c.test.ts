import { crc32c } from '../../src/runtime/crc32c.ts';
import { crc32cSuite } from '../conformance/crc32c-suite.ts';

crc32cSuite('the broker’s CRC-32C', crc32c);
