-- One row per line of an accepted file of products, good or not: rejected_reason tells.
{%- set columns = [
    'product_id', 'product_name', 'product_family', 'list_price_amount', 'introduced_date',
    'discontinued_date'
] %}
with

typed_rows as (

    select
        _file_id as file_id,
        _line as line_number,
        {{ content_key(columns) }} as content_key,
        {{ as_id('product_id') }} as product_id,
        {{ as_text('product_name') }} as product_name,
        {{ as_text('product_family') }} as product_family,
        {{ as_number('list_price_amount') }} as list_price_amount,
        {{ as_date('introduced_date') }} as introduced_date,
        {{ as_date('discontinued_date') }} as discontinued_date,
        {{ as_text('list_price_amount') }} as sent_list_price_amount,
        {{ as_text('introduced_date') }} as sent_introduced_date,
        {{ as_text('discontinued_date') }} as sent_discontinued_date

    from ({{ raw_rows_of_build('canonical_products') }}) as raw_rows

),

judged_rows as (

    select
        *,
        case
            when product_id = '' then 'no product_id'
            when {{ is_too_long('product_id') }} then 'product_id is longer than 200 characters'
            when sent_list_price_amount is not null and list_price_amount is null
                then 'list_price_amount is no number'
            when list_price_amount < 0 then 'list_price_amount is negative'
            when sent_introduced_date is not null and introduced_date is null
                then 'introduced_date is no date'
            when sent_discontinued_date is not null and discontinued_date is null
                then 'discontinued_date is no date'
        end as row_fault

    from typed_rows

),

ranked_rows as (

    {{ with_next_row('judged_rows', columns, ['product_id']) }}

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
