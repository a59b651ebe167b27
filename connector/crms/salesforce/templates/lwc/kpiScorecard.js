import { LightningElement, api, wire } from 'lwc';
import { getRecord } from 'lightning/uiRecordApi';

// Optional fields: one that a user may not see, or that an administrator removed, leaves its line out and nothing else.
const SHOWN = [
{%- for field in fields %}
    { field: '{{ field.name }}', label: '{{ field.label | replace("'", "\\'") }}' },
{%- endfor %}
];
const WANTED = SHOWN.map((row) => `{{ object }}.${row.field}`);
const URGENT = new Set(['Stuck']);

export default class KpiScorecard extends LightningElement {
    @api recordId;
    wanted = WANTED;

    @wire(getRecord, { recordId: '$recordId', optionalFields: '$wanted' })
    record;

    get rows() {
        const held = this.record?.data?.fields ?? {};
        return SHOWN.filter((row) => row.field in held)
            .map((row) => ({ ...row, text: shown(held[row.field]) }))
            .filter((row) => row.text !== '')
            .map((row) => ({ ...row, style: URGENT.has(row.text) ? 'slds-text-color_error' : '' }));
    }

    get isEmpty() {
        return Boolean(this.record?.data) && this.rows.length === 0;
    }

    get problem() {
        return this.record?.error ? 'The scorecard cannot be read.' : '';
    }
}

function shown(cell) {
    const text = cell.displayValue ?? cell.value;
    if (text === null || text === undefined || text === false) {
        return '';
    }
    return text === true ? 'Yes' : String(text);
}
