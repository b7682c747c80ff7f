-- One row per good line. units is positive in sales and refunds alike; line_amount has the sign of
-- the money.
select
    order_id || '-' || left(replace(content_key::text, '-', ''), 16) as order_item_id,
    order_id,
    product_id,
    line_type,
    abs(quantity) as units,
    unit_price_amount,
    line_amount,
    file_id

from {{ ref('stg_online_retail__invoice_lines') }}

where rejected_reason is null
