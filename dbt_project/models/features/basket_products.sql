-- One row per as_of_date and product_id with an order before the date.
with

dates as (

    select dates.as_of_date
    from {{ ref('int_snapshot_dates') }} as dates
    where {{ is_due('(is_scored_date or is_training_date)') }}

),

sales as (

    select
        dates.as_of_date,
        items.product_id,
        max(items.ordered_date) as last_sale_date,
        count(distinct items.order_id) filter (where items.ordered_date >= dates.as_of_date - 56)
            as count_orders_56d

    from dates
    inner join {{ ref('fct_order_items') }} as items on dates.as_of_date > items.ordered_date
    group by dates.as_of_date, items.product_id

)

select
    sales.as_of_date,
    sales.product_id,
    products.product_name,
    (sales.as_of_date - sales.last_sale_date)::integer as days_since_last_sale,
    sales.count_orders_56d::integer as count_orders_56d,
    coalesce(products.discontinued_date <= sales.as_of_date, false) as is_discontinued

from sales
left join {{ ref('dim_products') }} as products on sales.product_id = products.product_id
