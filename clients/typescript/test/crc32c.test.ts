import { crc32cSuite } from '../../../test/conformance/crc32c-suite.ts';
import { crc32c } from '../src/crc32c.ts';

crc32cSuite('the client’s CRC-32C', crc32c);
