/** Replaces `log` in a folder of blobs, each time by itself and a sign: for tests that start several of these, and kill them. */
import process from 'node:process';
import { BlobError, fileBlobs } from '@tidegate/signer/repository';

const [folder = '', sign = '', times = ''] = process.argv.slice(2);
const blobs = fileBlobs(folder);
for (let done = 0; done < Number(times);) {
  const blob = await blobs.get('log');
  if (blob === undefined) throw new Error('There is no log.');
  const log = Buffer.concat((await blob.body.toArray()) as Buffer[]).toString();
  try {
    await blobs.put('log', Buffer.from(log + sign), { replace: { etag: blob.stat.etag } });
    process.stdout.write(sign);
    done += 1;
  } catch (error) {
    if (!(error instanceof BlobError && error.code === 'BLOB_CHANGED')) throw error;
  }
}
