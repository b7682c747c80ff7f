-- One row per line of a sale or refund. line_amount has the sign of the money, units are positive.
select
    -- many shops number the lines of each order from 1; the last slash parts the two ids
    order_id || '/' || replace(replace(order_item_id, '%', '%25'), '/', '%2F') as order_item_id,
    order_id,
    product_id,
    line_type,
    quantity as units,
    unit_price_amount,
    case order_type when 'refund' then -1 else 1 end * quantity * unit_price_amount as line_amount,
    file_id

from {{ ref('stg_canonical__order_items_judged') }}

where rejected_reason is null
