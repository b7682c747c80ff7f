-- One row per line of an accepted file of order items, good or not: rejected_reason tells. Of a
-- line the newest readable row counts: one with quantity 0 takes it away.
-- depends_on: {{ ref('stg_canonical__changed_keys') }}
with

files as (

    select * from {{ ref('stg_ops__landed_files') }}
    where is_accepted {% if is_partial() %}and is_changed{% endif %}

),

raw_rows as (

    select * from {{ source('raw', 'canonical_order_items') }}
    where _file_id in (select file_id from files)

),

typed_rows as (

    select
        _file_id as file_id,
        _line as line_number,
        -- the row as it was sent: equal rows have equal keys
        md5(
            row(
                order_item_id, order_id, product_id, quantity,
                unit_price_amount, line_type
            )::text
        )::uuid as content_key,
        nullif({{ as_id('order_item_id') }}, '') as order_item_id,
        {{ as_id('order_id') }} as order_id,
        nullif({{ as_id('product_id') }}, '') as product_id,
        lower({{ as_text('line_type') }}) as line_type,
        {{ as_number('quantity') }} as quantity,
        {{ as_number('unit_price_amount') }} as unit_price_amount

    from raw_rows

    {{ made_once() }}

),

judged_rows as (

    select
        file_id,
        line_number,
        content_key,
        order_item_id,
        order_id,
        product_id,
        line_type,
        quantity,
        unit_price_amount,
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

    from typed_rows

    {{ made_once() }}

),

candidates as (

    select * from judged_rows

    {% if is_partial() %}
    union all

    -- rows of the same keys in files that did not change
    select
        unchanged.file_id,
        unchanged.line_number,
        unchanged.content_key,
        unchanged.order_item_id,
        unchanged.order_id,
        unchanged.product_id,
        unchanged.line_type,
        unchanged.quantity,
        unchanged.unit_price_amount,
        unchanged.row_fault

    from {{ this }} as unchanged

    where
        unchanged.order_id in (select order_id from {{ ref('stg_canonical__changed_keys') }})
        and unchanged.file_id not in (
            select file_id from {{ ref('stg_ops__landed_files') }} where is_changed
        )
    {% endif %}

),

ranked_rows as (

    -- of several rows that can be read, the one that was landed last counts
    select
        *,
        case
            when row_fault is null
                then lead(content_key) over (
                    partition by order_id, order_item_id, row_fault is null
                    order by file_id, line_number
                )
        end as next_content_key

    from candidates

),

orders as (

    -- those that count, and why others don't: one row an order
    select
        order_id,
        order_type,
        rejected_reason

    from {{ ref('stg_canonical__orders_judged') }}

    where rejected_reason is null or rejected_reason = 'order was cancelled'

)

select
    ranked_rows.file_id,
    ranked_rows.line_number,
    ranked_rows.content_key,
    ranked_rows.order_item_id,
    ranked_rows.order_id,
    ranked_rows.product_id,
    ranked_rows.line_type,
    ranked_rows.quantity,
    ranked_rows.unit_price_amount,
    case when orders.rejected_reason is null then orders.order_type end as order_type,
    ranked_rows.row_fault,
    case
        when ranked_rows.row_fault is not null then ranked_rows.row_fault
        when ranked_rows.content_key = ranked_rows.next_content_key then 'exact duplicate'
        when ranked_rows.next_content_key is not null then 'replaced by a later row of the same key'
        when ranked_rows.quantity = 0 then 'quantity is zero: the line was taken away'
        when ranked_rows.unit_price_amount = 0 then 'price is zero: nothing was sold'
        when orders.rejected_reason is not null then orders.rejected_reason
        when orders.order_id is null then 'order is unknown or rejected'
    end as rejected_reason

from ranked_rows

left join orders
    on ranked_rows.order_id = orders.order_id
