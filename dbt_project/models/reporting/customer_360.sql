-- One row per customer known on the newest date that every question shown here has published.
-- What is known of a customer is of the same date: nothing of that day or later.
with

{{ rows_shown_in('customer_360') }}

snapshots as (

    select * from {{ ref('customer_snapshots') }}
    where as_of_date = (select as_of_date from newest_date)

)

select
    {{- columns_shown_in('customer_360', {
        'as_of_date': 'snapshots.as_of_date',
        'customer_id': 'snapshots.customer_id',
        'country': 'snapshots.country',
        'first_order_date': 'snapshots.as_of_date - snapshots.days_since_first_order',
        'last_order_date': 'snapshots.as_of_date - snapshots.days_since_last_order',
        'days_since_last_order': 'snapshots.days_since_last_order',
        'count_orders': 'snapshots.count_orders',
        'count_orders_365d': 'snapshots.count_orders_365d',
        'net_spend_amount': 'snapshots.net_spend_amount::numeric(18, 2)',
        'net_spend_amount_365d': 'snapshots.net_spend_amount_365d::numeric(18, 2)',
        'refund_amount': 'snapshots.refund_amount::numeric(18, 2)',
        'avg_order_amount': 'snapshots.avg_order_amount::numeric(18, 2)',
        'avg_days_between_orders': 'snapshots.avg_days_between_orders'
    }) }}

from snapshots
{%- for one in tables_shown_in('customer_360') %}
left join {{ one.table }} using (as_of_date, customer_id)
{%- endfor %}
