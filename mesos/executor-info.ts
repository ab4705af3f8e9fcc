/**
 * How a framework learns from an executor of its own how that was launched, in messages between the two: Mesos takes a task only
 * with the ExecutorInfo that is there already, and what a master tells of it needs the right to read it.
 */
import { messageType } from './codec.ts';
import type { ExecutorInfo } from './tasks.ts';

const type = messageType<ExecutorInfo>('mesos.v1.ExecutorInfo');

/** To an executor. */
export const question: Uint8Array = Buffer.from('executor-info?');

export const isQuestion = (data: Uint8Array): boolean => Buffer.compare(data, question) === 0;

/** From it. */
export const answerOf = (info: ExecutorInfo): Uint8Array => type.encode(info, 'application/x-protobuf');

/** Throws where the message is something else. */
export const infoIn = (data: Uint8Array): ExecutorInfo => type.decode(data, 'application/x-protobuf');
