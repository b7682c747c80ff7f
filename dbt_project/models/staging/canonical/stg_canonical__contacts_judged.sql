-- One row per line of an accepted file of contacts, good or not: rejected_reason tells.
{%- set sent = 'contact_id customer_id contacted_at campaign action is_held_out'.split() %}
{%- set columns = [
    'contact_id', 'customer_id', 'contacted_at', 'campaign', 'contact_action', 'is_held_out'
] %}
with

typed_rows as (

    select
        _file_id as file_id,
        _line as line_number,
        {{ content_key(sent) }} as content_key,
        {{ as_id('contact_id') }} as contact_id,
        {{ as_customer_id('customer_id') }} as customer_id,
        {{ as_order_time('contacted_at') }} as contacted_at,
        {{ as_text('campaign') }} as campaign,
        {{ as_text('action') }} as contact_action,
        case lower({{ as_text('is_held_out') }})
            when 'true' then true
            when 'false' then false
        end as is_held_out

    from ({{ raw_rows_of_build('canonical_contacts') }}) as raw_rows

),

judged_rows as (

    select
        *,
        case
            when contact_id = '' then 'no contact_id'
            when customer_id is null then 'no customer_id'
            when campaign is null then 'no campaign'
            when
                {{ is_too_long('contact_id') }} or {{ is_too_long('customer_id') }}
                or {{ is_too_long('campaign') }}
                then 'an id is longer than 200 characters'
            when contacted_at is null
                then 'contacted_at is no date and time from 1990 to its landing'
            when is_held_out is null then 'is_held_out is neither true nor false'
        end as row_fault

    from typed_rows

),

ranked_rows as (

    {{ with_next_row('judged_rows', columns, ['contact_id']) }}

)

select
    file_id,
    line_number,
    content_key,
    {{ columns | join(', ') }},
    row_fault,
    case
        {{ fault_or_replaced() }}
    end as rejected_reason

from ranked_rows
