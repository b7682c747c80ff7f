-- One row per line of an accepted file of order items, good or not: rejected_reason tells. Of a
-- line the newest readable row counts: one with quantity 0 takes it away.
{%- set ids = ['order_item_id', 'order_id', 'product_id'] %}
{%- set columns = ids + ['line_type', 'quantity', 'unit_price_amount'] %}
with

typed_rows as (

    select
        _file_id as file_id,
        _line as line_number,
        {{ content_key(ids + ['quantity', 'unit_price_amount', 'line_type']) }} as content_key,
        nullif({{ as_id('order_item_id') }}, '') as order_item_id,
        {{ as_id('order_id') }} as order_id,
        nullif({{ as_id('product_id') }}, '') as product_id,
        lower({{ as_text('line_type') }}) as line_type,
        {{ as_number('quantity') }} as quantity,
        {{ as_number('unit_price_amount') }} as unit_price_amount

    from ({{ raw_rows_of_build('canonical_order_items') }}) as raw_rows {{ made_once() }}

),

judged_rows as (

    select
        *,
        case
            when order_id = '' then 'no order_id'
            when order_item_id is null then 'no order_item_id'
            when product_id is null then 'no product_id'
            when
                {{ is_too_long('order_id') }} or {{ is_too_long('order_item_id') }}
                or {{ is_too_long('product_id') }}
                then 'an id is longer than 200 characters'
            when coalesce(line_type, '') not in ('product', 'charge')
                then 'line_type is neither product nor charge'
            when quantity is null then 'quantity is no number'
            when quantity < 0 then 'quantity is negative'
            when quantity >= 1000000000 then 'quantity of a billion or more'
            when unit_price_amount is null then 'unit_price_amount is no number'
            when unit_price_amount < 0 and line_type = 'product' then 'negative price of a product'
            when
                {{ is_absurd('unit_price_amount') }}
                or {{ is_absurd('quantity * unit_price_amount') }}
                then 'amount of 10 billion or more'
        end as row_fault

    from typed_rows {{ made_once() }}

),

ranked_rows as (

    {{ with_next_row('judged_rows', columns, ['order_id', 'order_item_id']) }}

)

select
    ranked_rows.file_id,
    ranked_rows.line_number,
    ranked_rows.content_key,
    ranked_rows.{{ columns | join(', ranked_rows.') }},
    case when orders.rejected_reason is null then orders.order_type end as order_type,
    ranked_rows.row_fault,
    case
        {{ fault_or_replaced('ranked_rows') }}
        when ranked_rows.quantity = 0 then 'quantity is zero: the line was taken away'
        when ranked_rows.unit_price_amount = 0 then 'price is zero: nothing was sold'
        when orders.rejected_reason is not null then orders.rejected_reason
        when orders.order_id is null then 'order is unknown or rejected'
    end as rejected_reason

from ranked_rows

-- those that count, and why others don't: one row an order
left join {{ ref('stg_canonical__orders_judged') }} as orders
    on
        ranked_rows.order_id = orders.order_id
        and (orders.rejected_reason is null or orders.rejected_reason = 'order was cancelled')
