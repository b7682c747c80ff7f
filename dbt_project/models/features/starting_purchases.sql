-- One row per as_of_date, audience_kind, audience and product_id: what customers of a country, or
-- who began with a family of products, ordered. The 100 products with most customers.
with

dates as (

    select dates.as_of_date
    from {{ ref('int_snapshot_dates') }} as dates
    where {{ is_due('(is_scored_date or is_training_date)') }}

),

lines as (

    select
        dates.as_of_date,
        items.customer_id,
        items.order_id,
        items.ordered_date,
        items.product_id,
        products.product_family

    from dates
    inner join {{ ref('fct_order_items') }} as items on dates.as_of_date > items.ordered_date
    left join {{ ref('dim_products') }} as products on items.product_id = products.product_id
    where items.customer_id is not null

),

first_days as (

    select
        as_of_date,
        customer_id,
        min(ordered_date) as first_ordered_date

    from lines
    group by as_of_date, customer_id

),

first_families as (

    select distinct
        lines.as_of_date,
        lines.customer_id,
        lines.product_family,
        first_days.first_ordered_date

    from lines
    inner join first_days
        on
            lines.as_of_date = first_days.as_of_date
            and lines.customer_id = first_days.customer_id
            and lines.ordered_date = first_days.first_ordered_date
    where lines.product_family is not null

),

audiences as (

    select
        lines.as_of_date,
        'country' as audience_kind,
        orders.country as audience,
        lines.product_id,
        lines.customer_id

    from lines
    inner join {{ ref('fct_orders') }} as orders on lines.order_id = orders.order_id
    where
        orders.country is not null
        and lines.as_of_date - 90 <= lines.ordered_date

    union

    select
        lines.as_of_date,
        'first_family' as audience_kind,
        first_families.product_family as audience,
        lines.product_id,
        lines.customer_id

    from lines
    inner join first_families
        on
            lines.as_of_date = first_families.as_of_date
            and lines.customer_id = first_families.customer_id
            and lines.ordered_date > first_families.first_ordered_date
    where lines.as_of_date - 365 <= lines.ordered_date

),

counted as (

    select
        as_of_date,
        audience_kind,
        audience,
        product_id,
        count(*)::integer as count_customers

    from audiences
    group by as_of_date, audience_kind, audience, product_id

),

ranked as (

    select
        counted.*,
        row_number() over (
            partition by as_of_date, audience_kind, audience
            order by count_customers desc, product_id collate "C"
        ) as place

    from counted

)

select
    as_of_date,
    audience_kind,
    audience,
    product_id,
    count_customers

from ranked
where place <= 100
