/** Runs seeds of the simulator of nodes for seed-jobs.ts. */
import { answerRanges } from './answer-ranges.ts';
import { simulate } from './simulate.ts';

answerRanges(simulate);
