import { LightningElement, api, wire } from 'lwc';
{%- if card.related %}
import { getRelatedListRecords } from 'lightning/uiRelatedListApi';
{%- else %}
import { getRecord } from 'lightning/uiRecordApi';
{%- endif %}

// Optional fields: one that a user may not see, or that an administrator removed, leaves its line out and nothing else.
const SHOWN = [
{%- for field in card.fields %}
    { field: '{{ field.name }}', label: '{{ field.label | replace("'", "\\'") }}' },
{%- endfor %}
];
const WANTED = SHOWN.map((row) => `{{ card.object }}.${row.field}`);
const URGENT = new Set(['Stuck']);

export default class KpiScorecard extends LightningElement {
    @api recordId;
    wanted = WANTED;

{% if card.related %}    // The deal's one row, by the lookup that points to the deal: what the user may not see of it is left out there too.
    @wire(getRelatedListRecords, { parentRecordId: '$recordId', relatedListId: '{{ card.related }}', optionalFields: '$wanted', pageSize: 1 })
    read;

    get held() {
        return this.read?.data?.records?.[0]?.fields ?? {};
    }
{% else %}    @wire(getRecord, { recordId: '$recordId', optionalFields: '$wanted' })
    read;

    get held() {
        return this.read?.data?.fields ?? {};
    }
{% endif %}
    get rows() {
        const held = this.held;
        return SHOWN.filter((row) => row.field in held)
            .map((row) => ({ ...row, text: shown(held[row.field]) }))
            .filter((row) => row.text !== '')
            .map((row) => ({ ...row, style: URGENT.has(row.text) ? 'slds-text-color_error' : '' }));
    }

    get isEmpty() {
        return Boolean(this.read?.data) && this.rows.length === 0;
    }

    get problem() {
        return this.read?.error ? 'The scorecard cannot be read.' : '';
    }
}

function shown(cell) {
    const text = cell.displayValue ?? cell.value;
    if (text === null || text === undefined || text === false) {
        return '';
    }
    return text === true ? 'Yes' : String(text);
}
