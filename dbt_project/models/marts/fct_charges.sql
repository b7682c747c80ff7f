-- One row per line that is no product: postage, fees, discounts, vouchers, bad debt. The sign is
-- the money's.
select
    order_item_id as charge_id,
    order_id,
    order_type,
    customer_id,
    is_guest,
    ordered_at as charged_at,
    ordered_date as charged_date,
    product_id as charge_code,
    line_amount as charge_amount

from {{ ref('int_order_lines') }}

where
    line_kind = 'charge'
    and {{ is_changed('order_id') }}
