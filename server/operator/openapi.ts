/** OpenAPI 3.1 from the same schemas that validate. https://spec.openapis.org/oas/v3.1.0 */
import { z } from 'zod';
import type { Route } from './route.ts';
import { reason } from './schemas.ts';

const BASE = '/operator/v1';

export function openApi(routes: readonly Route[]): Record<string, unknown> {
  const paths: Record<string, Record<string, unknown>> = {};
  for (const route of routes) {
    const path = BASE + route.path.replaceAll(/:(\w+)/g, '{$1}');
    paths[path] = { ...paths[path], [route.method]: operation(route) };
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'Tidegate operator API',
      version: '1',
      description:
        'What operators, release engineers and CI call. Times are RFC 3339 in UTC, of the fleet clock.',
    },
    security: [{ credential: [] }],
    paths,
    components: {
      securitySchemes: { credential: { type: 'http', scheme: 'bearer', description: '<id>.<secret>' } },
      schemas: { Problem: PROBLEM },
    },
  };
}

function operation(route: Route): Record<string, unknown> {
  return {
    operationId: operationId(route),
    summary: route.summary,
    description: `Needs the permission \`${route.permission}\`.`,
    parameters: [...parameters('path', route), ...parameters('query', route), ...keyHeader(route)],
    ...requestBody(route),
    responses: {
      [String(route.status ?? 200)]: {
        description: 'Done.',
        content:
          route.live === true
            ? { 'text/event-stream': { schema: { type: 'string' } } }
            : { 'application/json': { schema: jsonSchema(route.answer, 'output') } },
      },
      default: {
        description: 'Refused; `code` says why.',
        content: { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } } },
      },
    },
  };
}

function operationId(route: Route): string {
  const words = route.path.split(/[/:.-]+/).filter((word) => word !== '');
  return [route.method, ...words].map((w, i) => (i === 0 ? w : w[0]?.toUpperCase() + w.slice(1))).join('');
}

function parameters(place: 'path' | 'query', route: Route): unknown[] {
  const schema = place === 'path' ? route.params : route.query;
  if (schema === undefined) return [];
  const { properties = {}, required = [] } = jsonSchema(schema, 'input') as {
    properties?: Record<string, unknown>;
    required?: string[];
  };
  return Object.entries(properties).map(([name, of]) => ({
    name,
    in: place,
    required: place === 'path' || required.includes(name),
    schema: of,
  }));
}

function keyHeader(route: Route): unknown[] {
  if (route.method !== 'post') return [];
  return [
    { name: 'Idempotency-Key', in: 'header', required: false, schema: { type: 'string', maxLength: 200 } },
  ];
}

function requestBody(route: Route): Record<string, unknown> {
  if (route.stream === true) {
    const content = { 'application/octet-stream': { schema: { type: 'string', format: 'binary' } } };
    return { requestBody: { required: true, content } };
  }
  if (route.body === undefined) return {};
  const schema = jsonSchema(route.body.extend({ reason }), 'input');
  return { requestBody: { required: true, content: { 'application/json': { schema } } } };
}

function jsonSchema(schema: z.ZodType, io: 'input' | 'output'): Record<string, unknown> {
  const { $schema: _, ...rest } = z.toJSONSchema(schema, { io, unrepresentable: 'any' });
  return rest;
}

const PROBLEM = {
  type: 'object',
  description: 'RFC 9457 problem details.',
  required: ['type', 'title', 'status', 'detail', 'code'],
  properties: {
    type: { type: 'string' },
    title: { type: 'string', description: 'What to do.' },
    status: { type: 'integer' },
    detail: { type: 'string', description: 'What was seen.' },
    code: { type: 'string' },
    pointer: { type: 'string', description: 'RFC 6901 pointer to the field at fault.' },
    problems: {
      type: 'array',
      items: {
        type: 'object',
        properties: { pointer: { type: 'string' }, code: { type: 'string' }, detail: { type: 'string' } },
      },
    },
    stranded: {
      type: 'object',
      description:
        'With WOULD_STRAND: how many chargers in all; the first kinds of them, each with its number and first serial numbers (GET /fleet with its product, hardware and digest as `running` gives them all); and releases that are planned or are a way back.',
      properties: {
        total: { type: 'integer' },
        chargers: { type: 'array', items: { type: 'object' } },
        releases: { type: 'array', items: { type: 'object' } },
      },
    },
  },
};
