import type { Query, ServiceClient } from './client.ts';

export interface Page<T> {
  items: T[];
  next: string | null;
}

/** Follows the cursor to the end, or until `limit` items are read. */
export async function allPages<T>(
  service: ServiceClient,
  path: string,
  query: Query = {},
  limit = Number.POSITIVE_INFINITY,
): Promise<T[]> {
  const items: T[] = [];
  let after = query['after'];
  for (;;) {
    const size = Math.min(500, limit - items.length);
    const page = await service.get<Page<T>>(path, { ...query, after, limit: size });
    items.push(...page.items);
    if (page.next === null || items.length >= limit) return items;
    after = page.next;
  }
}
