-- One row per product line of a refund, dated when it was made, not when the product was sold.
select
    order_item_id as refund_item_id,
    order_id as refund_id,
    refunded_order_id,
    customer_id,
    is_guest,
    ordered_at as refunded_at,
    ordered_date as refunded_date,
    product_id,
    units,
    -line_amount as refund_amount

from {{ ref('int_order_lines') }}

where
    line_kind = 'refund'
    and {{ is_changed('order_id') }}
