/** The argument that names a partition. */
import { Argument, InvalidArgumentError } from 'commander';
import type { TopicPartition } from '../../clients/typescript/src/index.ts';
import { wholeNumber } from './option-values.ts';

const partitionNumber = wholeNumber(0, 2 ** 31 - 1);

export const partitionArgument = (): Argument =>
  new Argument('<topic/n>', 'the partition, like orders/0').argParser(partitionOf);

function partitionOf(text: string): TopicPartition {
  const [, topic = '', number = ''] = /^([^/]+)\/(\d+)$/.exec(text) ?? [];
  if (topic === '') throw new InvalidArgumentError('Write the topic, a slash and the number, like orders/0.');
  return { topic, partition: partitionNumber(number) };
}
