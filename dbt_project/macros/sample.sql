{#
    Training reads a fixed sample of a large shop's customers: those in the first buckets. Which bucket one is in follows
    from the id alone, so a customer is in it on all dates or leaves it once, when the shop has grown.
#}

{% macro sample_buckets() %}1000000{% endmacro %}

{% macro sample_bucket(customer_id) -%}
    mod(('x' || left(md5({{ customer_id }}), 8))::bit(32)::bigint, {{ sample_buckets() }})::integer
{%- endmacro %}

{% macro is_in_sample(bucket) -%}
    (dates.sample_buckets is null or {{ bucket }} < dates.sample_buckets)
{%- endmacro %}

{# Whether of a training date the sample is there, made for an earlier run, and the other customers are not. #}
{% macro lacks_the_others() -%}
    {%- if execute and not is_incremental() -%}
    false
    {%- else -%}
    (
        dates.is_training_date and dates.sample_buckets is not null
        and not exists (
            select 1 from {{ this }} where as_of_date = dates.as_of_date and not is_in_sample
        )
    )
    {%- endif -%}
{%- endmacro %}
