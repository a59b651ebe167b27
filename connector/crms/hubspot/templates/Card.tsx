// Made by `connector provision export --target hubspot`. It shows what the connector wrote, and writes nothing.
import React from 'react';
import { Alert, DescriptionList, DescriptionListItem, Flex, StatusTag, Text, hubspot } from '@hubspot/ui-extensions';
import { useCrmProperties } from '@hubspot/ui-extensions/crm';

type Kind = 'text' | 'number' | 'percent' | 'money' | 'date' | 'datetime' | 'picklist' | 'boolean';

interface Field {
  key: string;
  name: string;
  label: string;
  kind: Kind;
  options?: Record<string, string>;
}

const FIELDS: Field[] = @FIELDS@;

const NAMES = FIELDS.map((field) => field.name);
const TIMES = FIELDS.filter((field) => field.kind === 'date' || field.kind === 'datetime').map((field) => field.name);
const FORMAT = { propertiesToFormat: TIMES, formattingOptions: { date: { format: 'LL' }, dateTime: { format: 'LLL' } } };
const APART = ['pace', 'stale_reason', 'updated_at', 'definition'];
const COLOURS: Record<string, 'danger' | 'warning' | 'success'> = { stuck: 'danger', slow: 'warning', on_pace: 'success' };

const shown = (field: Field, value: string): string => {
  if (field.options) return field.options[value] ?? value;
  if (field.kind === 'percent') return `${Math.round(Number(value) * 100)}%`;
  return value;
};

const Scorecard = () => {
  const { properties, isLoading, error } = useCrmProperties(NAMES, FORMAT);
  if (isLoading) return <Text>Loading scorecard…</Text>;
  if (error) return <Alert title="Scorecard unavailable" variant="error">{error.message}</Alert>;
  const held = (key: string): [Field, string] | undefined => {
    const field = FIELDS.find((one) => one.key === key);
    const value = field && properties[field.name];
    return field && value ? [field, value] : undefined;
  };
  const pace = held('pace');
  const reason = held('stale_reason');
  const updated = held('updated_at');
  const filled = FIELDS.filter((field) => !APART.includes(field.key) && properties[field.name]);
  return (
    <Flex direction="column" gap="small">
      {pace && <StatusTag variant={COLOURS[pace[1]] ?? 'default'}>{shown(pace[0], pace[1])}</StatusTag>}
      {reason && <Text>{reason[1]}</Text>}
      <DescriptionList direction="row">
        {filled.map((field) => (
          <DescriptionListItem key={field.name} label={field.label}>
            <Text>{shown(field, properties[field.name] ?? '')}</Text>
          </DescriptionListItem>
        ))}
      </DescriptionList>
      <Text variant="microcopy">{updated ? `Updated ${updated[1]}` : 'Not updated yet'}</Text>
    </Flex>
  );
};

hubspot.extend<'crm.record.tab'>(() => <Scorecard />);
