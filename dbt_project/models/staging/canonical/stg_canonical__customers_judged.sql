-- One row per line of an accepted file of customers, good or not: rejected_reason tells.
{%- set columns = ['customer_id', 'registered_at', 'country'] %}
with

typed_rows as (

    select
        _file_id as file_id,
        _line as line_number,
        {{ content_key(columns) }} as content_key,
        coalesce({{ as_customer_id('customer_id') }}, '') as customer_id,
        {{ as_shop_time('registered_at') }} as registered_at,
        {{ as_text('country') }} as country,
        {{ as_text('registered_at') }} as sent_registered_at

    from ({{ raw_rows_of_build('canonical_customers') }}) as raw_rows

),

judged_rows as (

    select
        *,
        case
            when customer_id = '' then 'no customer_id'
            when {{ is_too_long('customer_id') }}
                then 'customer_id is longer than 200 characters'
            when sent_registered_at is not null and registered_at is null
                then 'registered_at is no date and time'
        end as row_fault

    from typed_rows

),

ranked_rows as (

    {{ with_next_row('judged_rows', columns, ['customer_id']) }}

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
