-- One row per product.
select
    product_id,
    product_name,
    product_family,
    list_price_amount,
    introduced_date,
    discontinued_date

from {{ ref('stg_canonical__products_judged') }}

where rejected_reason is null
