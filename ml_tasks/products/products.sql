-- One row per product sold before {as_of_date}; nothing of that day or later is read. Guests' orders
-- count as sales; buyers are customers, so guests are none. Name, family and list price are those of
-- the product now.
with

lines as (

    select
        product_id,
        customer_id,
        ordered_date,
        order_id,
        units,
        line_amount

    from marts.fct_order_items
    where ordered_date < {as_of_date}

),

-- windows of 91 days hold 13 of each weekday; 364 days earlier is the same season
sales as (

    select
        product_id,
        min(ordered_date) as first_sale_date,
        max(ordered_date) as last_sale_date,
        count(distinct order_id) filter (where ordered_date >= {as_of_date} - 91)
            as count_orders_91d,
        coalesce(sum(units) filter (where ordered_date >= {as_of_date} - 91), 0) as units_91d,
        coalesce(sum(units) filter (
            where ordered_date >= {as_of_date} - 182 and ordered_date < {as_of_date} - 91
        ), 0) as units_91d_before,
        coalesce(sum(units) filter (
            where ordered_date >= {as_of_date} - 455 and ordered_date < {as_of_date} - 364
        ), 0) as units_91d_last_year,
        coalesce(sum(line_amount) filter (where ordered_date >= {as_of_date} - 91), 0)
            as sold_amount_91d,
        coalesce(sum(line_amount) filter (
            where ordered_date >= {as_of_date} - 182 and ordered_date < {as_of_date} - 91
        ), 0) as sold_amount_91d_before,
        coalesce(sum(line_amount) filter (where ordered_date >= {as_of_date} - 365), 0)
            as sold_amount_365d

    from lines
    group by product_id

),

days_of_buyers as (

    select
        product_id,
        customer_id,
        count(distinct ordered_date) as count_days

    from lines
    where customer_id is not null and ordered_date >= {as_of_date} - 365
    group by product_id, customer_id

),

buyers as (

    select
        product_id,
        count(*) as count_customers,
        count(*) filter (where count_days > 1) as count_repeat_customers

    from days_of_buyers
    group by product_id

),

refunds as (

    select
        product_id,
        sum(refund_amount) as refund_amount

    from marts.fct_refunds
    where refunded_date >= {as_of_date} - 365 and refunded_date < {as_of_date}
    group by product_id

)

select
    sales.product_id,
    products.product_name,
    products.product_family,
    round(products.list_price_amount, 2) as list_price_amount,
    case
        when products.discontinued_date < {as_of_date} then 'discontinued'
        when sales.first_sale_date >= {as_of_date} - {new_for_days} then 'new'
        when sales.last_sale_date < {as_of_date} - {quiet_after_days} then 'quiet'
        else 'selling'
    end as sales_state,
    sales.first_sale_date,
    sales.last_sale_date,
    {as_of_date} - sales.last_sale_date as days_since_last_sale,
    sales.count_orders_91d::integer as count_orders_91d,
    sales.units_91d::double precision as sold_units_91d,
    round(sales.sold_amount_91d, 2) as sold_amount_91d,
    (sales.sold_amount_91d / nullif(sum(sales.sold_amount_91d) over (), 0))::double precision
        as share_of_sales_91d,
    (sales.units_91d / nullif(sales.units_91d_before, 0) - 1)::double precision
        as sold_units_change_91d,
    (sales.units_91d / nullif(sales.units_91d_last_year, 0) - 1)::double precision
        as sold_units_change_year,
    round(sales.sold_amount_91d / nullif(sales.units_91d, 0), 2) as avg_unit_price_amount_91d,
    (
        sales.sold_amount_91d * sales.units_91d_before
        / nullif(sales.sold_amount_91d_before * sales.units_91d, 0) - 1
    )::double precision as unit_price_change_91d,
    coalesce(buyers.count_customers, 0)::integer as count_customers_365d,
    buyers.count_repeat_customers::double precision / buyers.count_customers
        as repeat_customer_share_365d,
    round(coalesce(refunds.refund_amount, 0), 2) as refund_amount_365d,
    (coalesce(refunds.refund_amount, 0) / nullif(sales.sold_amount_365d, 0))::double precision
        as refund_rate_365d,
    'scored' as score_status,
    null::text as score_reason

from sales
left join marts.dim_products as products using (product_id)
left join buyers using (product_id)
left join refunds using (product_id)
