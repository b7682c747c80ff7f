-- One row per product on the shop's own list.
select
    product_id,
    product_name,
    product_family,
    list_price_amount,
    introduced_date,
    discontinued_date

from {{ ref('stg_' ~ var('source') ~ '__products') }}
