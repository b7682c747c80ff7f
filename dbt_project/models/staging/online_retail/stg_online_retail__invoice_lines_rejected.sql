-- One row per line that is no sale, refund or charge, with the reason.
select
    file_id,
    line_number,
    order_id,
    product_id,
    customer_id,
    product_name,
    quantity,
    unit_price_amount,
    line_amount,
    rejected_reason

from {{ ref('stg_online_retail__invoice_lines') }}

where rejected_reason is not null
