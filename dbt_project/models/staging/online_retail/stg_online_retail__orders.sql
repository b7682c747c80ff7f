-- One row per invoice with a good line. Invoices with two times count from the first.
with

lines as (

    select * from {{ ref('stg_online_retail__invoice_lines') }}
    where
        rejected_reason is null
        and {{ is_changed('order_id', 'stg_online_retail__changed_keys') }}

)

select
    -- ids
    order_id,
    max(customer_id) as customer_id,
    null::text as refunded_order_id,
    max(file_id) as file_id,

    -- text
    min(order_type) as order_type,
    max(country) as country,

    -- timestamps
    min(ordered_at) as ordered_at

from lines

group by order_id
