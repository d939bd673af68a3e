/** Runs seeds of the simulator of brokers for seed-jobs.ts. */
import { answerRanges } from '../sim/answer-ranges.ts';
import { simulate } from './simulate.ts';

answerRanges(simulate);
