-- One row per row that counts nowhere, of all four tables, with the reason.
select
    'customers' as table_name,
    file_id,
    line_number,
    customer_id as row_key,
    null::numeric as line_amount,
    rejected_reason

from {{ ref('stg_canonical__customers_judged') }}
where rejected_reason is not null

union all

select
    'products' as table_name,
    file_id,
    line_number,
    product_id as row_key,
    null::numeric as line_amount,
    rejected_reason

from {{ ref('stg_canonical__products_judged') }}
where rejected_reason is not null

union all

select
    'orders' as table_name,
    file_id,
    line_number,
    order_id as row_key,
    null::numeric as line_amount,
    rejected_reason

from {{ ref('stg_canonical__orders_judged') }}
where rejected_reason is not null

union all

select
    'order_items' as table_name,
    file_id,
    line_number,
    order_item_id as row_key,
    quantity * unit_price_amount as line_amount,
    rejected_reason

from {{ ref('stg_canonical__order_items_judged') }}
where rejected_reason is not null
