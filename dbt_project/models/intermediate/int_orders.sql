-- One row per sale, refund or adjustment of the books, guests' included; is_guest tells.
select
    -- ids
    order_id,
    customer_id,
    refunded_order_id,
    file_id,

    -- text
    order_type,
    country,

    -- booleans
    customer_id is null as is_guest,

    -- dates, times
    ordered_at,
    {{ shop_date('ordered_at') }} as ordered_date

from {{ ref('stg_' ~ var('source') ~ '__orders') }}
