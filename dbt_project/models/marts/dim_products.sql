-- One row per product that is on the shop's list, was sold, or came back.
with

listed_products as (

    select * from {{ ref('int_products') }}
    where {{ is_changed('product_id') }}

),

sales as (

    select
        product_id,
        min(ordered_date) as first_sale_date,
        max(ordered_date) as last_sale_date,
        sum(units) as lifetime_units

    from {{ ref('fct_order_items') }}
    where {{ is_changed('product_id') }}
    group by product_id

),

returned_products as (

    select distinct product_id
    from {{ ref('fct_refunds') }}
    where {{ is_changed('product_id') }}

),

product_ids as (

    select product_id from listed_products
    union
    select product_id from sales
    union
    select product_id from returned_products

)

select
    product_ids.product_id,
    listed_products.product_name,
    listed_products.product_family,
    listed_products.list_price_amount,
    listed_products.introduced_date,
    listed_products.discontinued_date,
    sales.first_sale_date,
    sales.last_sale_date,
    coalesce(sales.lifetime_units, 0) as lifetime_units

from product_ids

left join listed_products
    on product_ids.product_id = listed_products.product_id

left join sales
    on product_ids.product_id = sales.product_id
